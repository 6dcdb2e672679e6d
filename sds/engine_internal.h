/* sds/engine_internal.h - what engine.c shares with its two readers of requests, engine_sotw.c and engine_delta.c.
 * Nobody else includes it. */
#ifndef SDS_ENGINE_INTERNAL_H
#define SDS_ENGINE_INTERNAL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/attr.h"
#include "base/table.h"
#include "sds/engine.h"
#include "sds/request.h"

/** Most names that are found by walking the list; beyond, there is a hash table. A stream of Envoy's has one name. */
#define ENGINE_LIST_MAX 8
#define ENGINE_PREFIX_MAX 20

/** The line in which a subscription stands. */
enum engine_place {
	ENGINE_IDLE,	   /* settled, or waiting for engine_mark() */
	ENGINE_READY,	   /* engine_next() will give it */
	ENGINE_UNANSWERED, /* an offer is out */
};

struct engine_sub {
	struct engine *engine;
	struct engine_sub *prev, *next;		  /* all, in the order of subscription */
	struct engine_sub *line_prev, *line_next; /* in the line of its place */
	UT_hash_handle hh;
	void *user;
	char (*nacked)[ENGINE_VERSION_LEN + 1]; /* the ring of NACKed versions, made at the first NACK */
	uint64_t offer;				/* number of its last offer, which its nonce holds */
	int64_t offered_at_ms;
	uint32_t named_in; /* SotW: number of the last request that named it */
	uint32_t nacks;
	enum engine_place place;
	bool possible;			   /* can be a secret's name */
	bool dirty;			   /* changed while its offer was out */
	bool asked;			   /* the client asked (anew): the same version is sent again */
	bool owed;			   /* it has not been answered since; counted in engine->owed */
	bool gone;			   /* delta: removal was told, and nothing offered since */
	bool is_removal;		   /* the offer that is out */
	char sent[ENGINE_VERSION_LEN + 1]; /* last offered, "" none */
	char acked[ENGINE_VERSION_LEN + 1];
	char claimed[ENGINE_VERSION_LEN + 1];
	size_t name_len;
	char name[];
};

struct engine {
	enum engine_mode mode;
	bool begun; /* a request came */
	bool half_closed;
	bool repeat_due;
	const struct engine_limits *limits;
	const struct engine_events *events;
	struct engine_sub *subs;
	struct engine_sub *next_refreshed; /* NULL: the first */
	struct engine_sub *fresh;	   /* the first of those that were made by this request and not announced */
	struct engine_sub *table;
	struct engine_sub *ready, *unanswered; /* lines; unanswered in the order of the offers */
	size_t count, name_bytes, owed, unanswered_count;
	uint64_t offers;	   /* made so far */
	uint64_t answered;	   /* SotW: highest number that the client has named in a nonce */
	int64_t repeat_free_at_ms; /* a repeat may be answered from then on */
	uint32_t requests;
	char prefix[ENGINE_PREFIX_MAX + 1];
};

/** The two readers. */
struct engine_close engine_sotw_request(struct engine *e, const struct request *r, int64_t now_ms);
struct engine_close engine_delta_request(struct engine *e, const struct request *r, int64_t now_ms);

/** Out of whatever line it stands in; idle from then on. */
void engine_leave_line(struct engine *e, struct engine_sub *s);
/** From idle to ready; not where a half-closed stream has had its answer. */
void engine_make_ready(struct engine *e, struct engine_sub *s);
void engine_set_owed(struct engine *e, struct engine_sub *s, bool owed);
/** "*" is the wildcard of the protocol, and delta's empty first request: no secret has that name. */
bool engine_sub_is_wildcard(const struct engine_sub *s);

/** The number in a nonce of this stream, 0 when it is none of ours. */
uint64_t engine_nonce_number(const struct engine *e, struct view nonce);
/** The client's answer to the offer that is out: tells the events, and brings the name up again where there is more. */
void engine_take_ack(struct engine *e, struct engine_sub *s, int64_t now_ms);
void engine_take_nack(struct engine *e, struct engine_sub *s, const struct request *r);
/** The offer that is out is not awaited any longer, and proves nothing. */
void engine_settle(struct engine *e, struct engine_sub *s);

/** Subscribe to a new name; announced by engine_announce(). False: a limit is reached, and nothing was made. */
MUST_USE bool engine_add(struct engine *e, struct view name);
/** The client asks for a name that it has subscribed to. */
void engine_ask(struct engine *e, struct engine_sub *s);
/** Unsubscribe: tells the events, frees s. */
void engine_remove(struct engine *e, struct engine_sub *s);
/** Tell the events of what engine_add() made. */
void engine_announce(struct engine *e);
/** Take back what engine_add() made in this request, untold, and say why the stream must end. */
struct engine_close engine_refuse(struct engine *e);
/** Keep what the client says that it holds. A version that cannot be ours is no claim. */
void engine_claim(struct engine_sub *s, struct view version);
#endif
