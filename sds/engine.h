/* sds/engine.h - one xDS stream for type Secret, as a pure machine: requests and answers in, decisions out. No I/O, no
 * threads, no clock of its own, no knowledge of policy or of what a secret is. State of the world (engine_sotw.c) and
 * incremental (engine_delta.c) are two readers of requests over one set of subscriptions; SDS and ADS methods use both.
 *
 * The worker drives it by pulling: after each event it calls engine_next() until NULL, looks up the answer for that
 * subscription at that moment (policy, index, quarantine), and tells the engine which it was: offered, absent, pending
 * or held. While an offer is unanswered, a change only marks the subscription dirty.
 *
 * Rules: one secret per response; at most one unanswered offer per subscription and ENGINE_WINDOW per stream; answers
 * are matched by nonce; a version that was NACKed is not offered to that subscription again unless it was forgiven, one
 * that was sent is not repeated unless asked for; a client is always sent what it subscribes to, whatever it claims to
 * hold. Thread: one at a time. */
#ifndef SDS_ENGINE_H
#define SDS_ENGINE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/attr.h"
struct engine;
struct engine_sub;
struct request;

enum { ENGINE_WINDOW = 32, ENGINE_VERSION_LEN = 32, ENGINE_NONCE_MAX = 40, ENGINE_NACKED_MAX = 8 };
enum engine_mode { ENGINE_SOTW, ENGINE_DELTA };

struct engine_limits {
	size_t names;		     /* most subscriptions at once */
	size_t name_bytes;	     /* most bytes of all their names; 0: ENGINE_NAME_BYTES */
	int64_t resend_on_repeat_ms; /* SotW (Envoy #47309): answer verbatim repeats, at most this often; 0: never */
};
#define ENGINE_NAME_BYTES ((size_t)4 << 20)

/** What the engine found in a request, told while it reads; each is called at most once per subscription and request,
 * and in this order: answers, names dropped, names new. The callee must not call back into the engine but for
 * engine_sub_*. */
struct engine_events {
	void *arg;
	void (*subscribed)(void *arg, struct engine_sub *s);   /* new: s lives until unsubscribed() returns */
	void (*unsubscribed)(void *arg, struct engine_sub *s); /* also for every name left when the engine is freed */
	void (*acked)(void *arg, struct engine_sub *s, const char *version, int64_t push_to_ack_ms);
	/** code and text as the client sent them; not redacted. The version was the one last offered of this name. */
	void (*nacked)(
		void *arg, struct engine_sub *s, const char *version, int code, const char *text, size_t text_len);
};

/** Why a stream must end. text is static or borrowed until the next call. */
struct engine_close {
	int grpc_status; /* 0: it need not */
	const char *text;
};

/** nonce_prefix: text unique to the stream, at most 20 characters (copied). events and limits are borrowed. */
struct engine *engine_new(enum engine_mode mode, const struct engine_limits *limits, const struct engine_events *events,
	const char *nonce_prefix);
void engine_free(struct engine *e); /* NULL is fine */

/** Take in one request (already checked as wire format, type Secret). Names that are impossible (empty, too long, not a
 *  name) are subscriptions like any other, which nobody can answer. */
MUST_USE struct engine_close engine_request(struct engine *e, const struct request *r, int64_t now_ms);
/** The client will send no more: each name still gets its first answer, then the stream is done. */
void engine_half_close(struct engine *e);
/** After a half-close: every name has had its first answer (or has none to wait for). */
bool engine_is_done(const struct engine *e);

/** The next subscription that wants an answer and may get one now, or NULL. The same one comes again until it is told.
 */
struct engine_sub *engine_next(struct engine *e);
/** The secret's current state may have changed for this subscription: it will come up in engine_next(). */
void engine_mark(struct engine *e, struct engine_sub *s);

/* The answers; each takes the subscription out of engine_next(). version: 1 to ENGINE_VERSION_LEN characters. */

/** Is this version to be sent? False when it was the last one sent and the client did not ask anew, or was NACKed: then
 *  the subscription is settled. After a NACK the subscription comes up once more: where the current version is not
 *  wanted, the one last ACKed (engine_sub_acked()) is, once: it heals what Envoy keeps of the bad one. */
bool engine_wants(struct engine *e, struct engine_sub *s, const char *version);
/** This version is being sent, under the nonce drawn into ret_nonce (ENGINE_NONCE_MAX bytes). Only for what
 * engine_next() gave. version may be what engine_sub_acked() points to. */
void engine_offered(struct engine *e, struct engine_sub *s, const char *version, int64_t now_ms, char *ret_nonce);
/** Nothing exists for this name (unknown or denied alike). True: delta, send removed_resources under the nonce in
 *  ret_nonce. False: SotW, or said already and not asked anew: silence. */
bool engine_absent(struct engine *e, struct engine_sub *s, int64_t now_ms, char *ret_nonce);
/** No answer is known yet, one will come: engine_mark() brings it up again. A half-closed stream waits for it. */
void engine_pending(struct engine *e, struct engine_sub *s);
/** There is an answer but it is held back (quarantine): like pending, but nobody waits for it. */
void engine_held(struct engine *e, struct engine_sub *s);

/** A version that was NACKed may be offered to this subscription once more (`retry`, or what it held has expired): it
 *  comes up. Nothing happens where it was not NACKed. */
void engine_forgive(struct engine *e, struct engine_sub *s, const char *version);

/** When the engine itself wants to be called (a repeat that came too soon), INT64_MAX: never. Then engine_wake(). */
int64_t engine_wake_at_ms(const struct engine *e);
void engine_wake(struct engine *e, int64_t now_ms);
/** Delta (Envoy #47309): a second user of a known name waits for an answer to a question that Envoy never asks. As if
 * the client had asked for the next of its names anew, in turn; an offer that is out counts as the answer. Returns
 * which, or NULL when there is none. */
struct engine_sub *engine_refresh(struct engine *e);
/** Watchdog: give up waiting for answers to offers made before this; their names come up again, under new nonces.
 *  Returns how many there were. */
size_t engine_reoffer(struct engine *e, int64_t made_before_ms);

/* A subscription; texts are borrowed while it lives and until the next call that changes it. */

/** NUL-terminated, though an impossible name may hold NULs; ret_len may be NULL. */
const char *engine_sub_name(const struct engine_sub *s, size_t *ret_len);
/** False: no secret can have this name (text_is_name(), and "*", the protocol's wildcard): it is always absent. */
bool engine_sub_is_possible(const struct engine_sub *s);
/** The version that it ACKed last, "" for none or since a removal. */
const char *engine_sub_acked(const struct engine_sub *s);
/** The version that the client claimed to hold in the stream's first request, "" for none. Claims decide nothing here.
 */
const char *engine_sub_claimed(const struct engine_sub *s);
/** Among the last ENGINE_NACKED_MAX that it NACKed. */
bool engine_sub_has_nacked(const struct engine_sub *s, const char *version);
struct engine *engine_sub_engine(const struct engine_sub *s);
/** The worker's own word per subscription (its record of what control was told). */
void *engine_sub_user(const struct engine_sub *s);
void engine_sub_set_user(struct engine_sub *s, void *user);

size_t engine_count(const struct engine *e);
/** Call fn for each subscription; fn may call engine_mark() alone. */
void engine_each(struct engine *e, void (*fn)(void *arg, struct engine_sub *s), void *arg);
struct engine_sub *engine_find(struct engine *e, const char *name, size_t len);
/** When the oldest unanswered offer was made (monotonic ms), INT64_MAX when none is: for a watchdog. */
int64_t engine_oldest_offer_ms(const struct engine *e);
enum engine_mode engine_mode(const struct engine *e);
#endif
