/* control/control.h - what to do, for whom, when: the face of this folder to the daemon and the serving side.
 * Thread: control, everything. */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/attr.h"
#include "ca-client/ca.h"
#include "cache/version.h"
#include "control/identity.h"
struct anchors;
struct authority_def;
struct ca;
struct ca_env;
struct clock;
struct control;
struct credential;
struct definitions;
struct description;
struct fault;
struct http;
struct inbox;
struct jobs;
struct loop;
struct metrics;
struct outlet;
struct policy;
struct store;

/** Most earlier versions of an entry that can be kept. */
enum { CONTROL_PAST_MAX = 8 };
/** Longest time over which new certificates for many are spread. */
#define CONTROL_OVER_MAX_MS (INT64_C(30) * 24 * 3600 * 1000)

struct control_options {
	struct loop *loop;
	struct jobs *jobs;
	struct http *http;
	const struct clock *clock;
	struct store *store;
	struct metrics *metrics;
	bool first_start;
	int64_t watch_ms;	 /* how often it is looked what time has brought; 0: each second */
	int64_t waking_ms;	 /* what became due while the machine slept is spread over so long; 0: it is not */
	int64_t moving_ms;	 /* a change of authority is spread over so long; 0: it is not */
	int64_t built_ms;	 /* wall: the clock is not believed before it; 0: not known */
	unsigned past_versions;	 /* earlier ones that the store keeps of an entry, 1..CONTROL_PAST_MAX; 0: 4 */
	int64_t past_expired_ms; /* and for how long after their end; they go when the next version comes */
	/** A certificate of our own (secret_def.internal) was issued or renewed. */
	void (*on_internal)(void *arg, const char *name);
	/** The anchors of some authority changed. */
	void (*on_trust)(void *arg);
	/** How a driver is made; NULL: by the kind of the authority. For tests. */
	struct fault *(*make_ca)(void *arg, const struct authority_def *def, const struct ca_env *env, struct ca **ret);
	void *arg;
};

/** Takes definitions, also on a fault. Loads what the store holds. The caller owns *ret: control_close(). */
MUST_USE struct fault *control_new(const struct control_options *o, struct definitions *d, struct control **ret);
struct policy *control_policy(struct control *c); /* the snapshot now; borrowed */
struct inbox *control_inbox(struct control *c);
/** Publish what is stored, start the authorities, plan. ready(arg, NULL) once every exact name has a version and the
 * anchors of every authority are known: from the store, where they are, so that one may be down. */
void control_start(struct control *c, const struct outlet *o, void (*ready)(void *arg, struct fault *f), void *arg);
/** Whole or not at all; takes d. CONFLICT, INVALID: refused, the old ones stay. */
MUST_USE struct fault *control_reload(struct control *c, struct definitions *d);
/** Ends timers, issuances and authorities; closed(arg) when nothing is left; then c is gone. The store stays open. */
void control_close(struct control *c, void (*closed)(void *arg), void *arg);

/** Anchors of an authority now, or NULL (unknown, not ready). Borrowed. */
struct anchors *control_anchors(struct control *c, const char *authority);
/** The newest credential of one of our own. NOT_FOUND: there is none yet. The caller owns *ret. */
MUST_USE struct fault *control_internal_credential(struct control *c, const char *name, struct credential **ret);

/** --- orders of an operator: done(arg, fault or NULL) once stored and taken in by every worker --- */
typedef void control_done_fn(void *arg, struct fault *f);
/** References are taken. CONFLICT: the name is in the config, or has another kind. INVALID: what Envoy would refuse or
 * apply openly. by: who orders, for the audit ("uid 0"). */
void control_put_certificate(
	struct control *c, const char *name, struct credential *cred, const char *by, control_done_fn *done, void *arg);
void control_put_bundle(
	struct control *c, const char *name, struct anchors *a, const char *by, control_done_fn *done, void *arg);
/** NOT_FOUND; CONFLICT: the name is in the config. *ret_subscribers: proxies that keep what they hold. */
void control_delete(
	struct control *c, const char *name, const char *by, size_t *ret_subscribers, control_done_fn *done, void *arg);
/** Every entry of this name; the first failure ends the wait. NOT_FOUND, INVALID (nothing to rotate: brought, or a
 * bundle). */
void control_rotate(struct control *c, const char *name, const char *by, control_done_fn *done, void *arg);
/** Offer again what nodes NACKed of this name (or entry text): all of them, or the one with this node.id. NOT_FOUND:
 *  nothing of it is held back. *ret_count: how many nodes. done once every worker has taken it in. */
void control_retry(struct control *c, const char *name, const char *node, const char *by, size_t *ret_count,
	control_done_fn *done, void *arg);
/** Serve an earlier version again: the one whose id begins so (version), or the latest that is still valid (NULL). It
 * is pinned. NOT_FOUND; CONFLICT (its anchor or authority is gone, it is served already, another order is under way);
 * INVALID (expired, or a bundle that follows its authorities). */
void control_rollback(
	struct control *c, const char *name, const char *version, const char *by, control_done_fn *done, void *arg);
/** A new key and certificate for every secret of this authority (NULL: of all), spread over over_ms; outlives a
 * restart. done: once it is ordered. NOT_FOUND. */
void control_rotate_all(
	struct control *c, const char *authority, int64_t over_ms, const char *by, control_done_fn *done, void *arg);
struct control_campaign {
	const char *authority;	      /* NULL: all */
	int64_t ordered_ms, until_ms; /* wall */
	size_t total, left, failing;  /* secrets; failing: of those left */
	bool paused;		      /* it belongs to a change of trust that is */
};
void control_each_campaign(struct control *c, void (*fn)(void *arg, const struct control_campaign *k), void *arg);
/** A new root for an authority that leafcast keeps itself, and new certificates under it for all that it issued, spread
 * over over_ms once verifiers hold the root (design.md, flow B). compromised: at the end the anchors before it leave
 * the bundles at once instead of after a leaf life. Of an authority that makes its roots itself only that: its newest
 * anchor must be there beside the others, which leave and are banned at the end. Steps outlive a restart. done: once
 * the new root is in the bundles (or why not; it goes on being tried when that may help). NOT_FOUND, INVALID (its roots
 * are not made here), CONFLICT. A compromise takes over a rotation that is under way: the root of that stays.
 */
void control_trust_rotate(struct control *c, const char *authority, int64_t over_ms, bool compromised, const char *by,
	control_done_fn *done, void *arg);
/** who: those passed over, in words; borrowed; f NULL only. */
typedef void control_passed_fn(void *arg, struct fault *f, const char *who);
/** Wait no longer for the proxies with this node.id that do not hold a new anchor (NULL: for nobody): over restarts,
 * and for this anchor alone. done: once it is stored. NOT_FOUND: it is not waited for (the text says who is); CONFLICT:
 * nobody is, or trust is paused. */
void control_trust_proceed(
	struct control *c, const char *authority, const char *node, const char *by, control_passed_fn *done, void *arg);
/** Every change of this authority's trust stands still (on), or goes on: new root, readiness of an anchor, new
 * certificates of such an order, old anchors that leave by themselves. Over restarts. Renewals by life go on. done:
 * once it is stored; a fault: nothing changed. NOT_FOUND, CONFLICT (it is so already). */
void control_trust_pause(
	struct control *c, const char *authority, bool on, const char *by, control_done_fn *done, void *arg);
/** count: anchors that left. */
typedef void control_removed_fn(void *arg, struct fault *f, size_t count);
/** Take the anchors that the authority shows no more out of the bundles now. CONFLICT unless force, while a certificate
 * under one of them is served: the text names some. done: once it is stored. */
void control_trust_remove(
	struct control *c, const char *authority, bool force, const char *by, control_removed_fn *done, void *arg);
/** Take this anchor (its SHA-256, or 16 digits of it that tell it from the others) out of the bundles now, and never
 * from the authority again, even while that shows it: over restarts, until control_trust_restore(). CONFLICT unless
 * force, while the authority shows it or a certificate under it is served; CONFLICT: it is the only one. done: once it
 * is stored; a fault: nothing changed. NOT_FOUND, INVALID, EXHAUSTED. */
void control_trust_ban(struct control *c, const char *authority, const char *sha256, bool force, const char *by,
	control_done_fn *done, void *arg);
/** It may be taken again, as if it were new. sha256 NULL: the record of what was banned cannot be read, and is begun
 * anew. NOT_FOUND, INVALID, CONFLICT. */
void control_trust_restore(
	struct control *c, const char *authority, const char *sha256, const char *by, control_done_fn *done, void *arg);
struct control_ban {
	const char *authority, *sha256, *subject, *by;
	int64_t at_ms;
	bool shown; /* by the authority, now */
};
void control_each_ban(struct control *c, void (*fn)(void *arg, const struct control_ban *b), void *arg);
struct control_anchor {
	const char *authority, *sha256, *subject;
	int64_t since_ms, ready_ms, gone_ms, used_ms, not_after_ms; /* wall; 0: not */
	size_t leaves;						    /* certificates served under it */
	const char *waits_for;					    /* names; NULL: for nobody */
	const char *order;					    /* "rotating", "compromised", or NULL */
	bool newest;	   /* made last, and shown: it would stay after a compromise */
	int64_t paused_ms; /* its authority's trust; 0: is not */
	const char *paused_by;
};
void control_each_anchor(struct control *c, void (*fn)(void *arg, const struct control_anchor *a), void *arg);
/** How much a change of an authority's trust touches. False: there is no such authority. */
struct control_reach {
	size_t certificates, bundles; /* served */
	size_t nodes;		      /* connected, that subscribe to one of them */
	unsigned rate;		      /* requests a second that the authority is asked at most; 0: no limit */
	bool makes_roots;	      /* leafcast, for it */
	bool bans_unreadable;	      /* which of its anchors were banned is not known, so none is taken */
};
bool control_trust_reach(struct control *c, const char *authority, struct control_reach *ret);
/** A proxy that subscribes to a bundle with the anchor, or did lately. */
struct control_verifier {
	const char *node, *identity, *bundle;
	const char *state;     /* "holds", "silent", "refused", "away", "passed over"; "absent": away, and has no say */
	int64_t since_ms;      /* holds: its last ACK of such a bundle; else: its stream, or its end */
	const char *passed_by; /* passed over: by whom */
};
void control_each_verifier(struct control *c, const char *authority, const char *sha256,
	void (*fn)(void *arg, const struct control_verifier *v), void *arg);
/** outcome: what the authority did of it, in words, borrowed; f NULL only. */
typedef void control_revoked_fn(void *arg, struct fault *f, const char *outcome);
/** A new certificate first, pushed and ACKed (silent proxies are waited for 30 s); then the one served until now is
 * revoked where the authority can, and its key destroyed. Goes on over restarts. done: at the end; or with a fault as
 * soon as a step fails, though it goes on being tried. NOT_FOUND, INVALID (put, or a bundle), CONFLICT (it is under
 * way). */
void control_revoke(struct control *c, const char *name, enum ca_reason reason, const char *by,
	control_revoked_fn *done, void *arg);
/** "key-compromise", "superseded", ... (RFC 5280). */
bool ca_reason_parse(const char *text, enum ca_reason *ret);
/** on: the version that is served is not renewed before its last fifth of life, unless by control_rotate(). */
void control_pin(struct control *c, const char *name, bool on, const char *by, control_done_fn *done, void *arg);
struct control_version {
	const char *entry, *id;
	int64_t not_after_ms;
	bool is_current, pinned;
};
/** Every version of this name that can be served, oldest first; borrowed for the call. */
void control_each_version(
	struct control *c, const char *name, void (*fn)(void *arg, const struct control_version *v), void *arg);
/** The current version of the entry with this text ("default{uid=1000}") or name. The caller owns a reference.
 *  NOT_FOUND; CONFLICT: the name has several entries (the text lists them). */
MUST_USE struct fault *control_get(struct control *c, const char *name, struct version **ret);

/** --- the audit trail --- */
struct store_audit_page;
/** A page of it: cache/store.h, store_audit_read(). UNAVAILABLE while we close. */
void control_audit_read(struct control *c, int64_t after, size_t limit,
	void (*done)(void *arg, struct fault *f, const struct store_audit_page *page), void *arg);
/** Record what an operator does beside control's own orders, and log it. done: once it is durable, and before that
 * nothing is to be done. event is a stable name; name, version and detail may be NULL. */
void control_audit(struct control *c, const char *event, const char *name, const char *version, const char *by,
	const char *detail, control_done_fn *done, void *arg);

/** --- the state as a whole; CONFLICT: the same is under way, or leafcast is stopping --- */
/** A new data key and a new seal key (cache/store.h). given: NULL, or the one to come; copied. */
struct secret;
struct store_rotation;
typedef void control_rotated_fn(void *arg, struct fault *f, const struct store_rotation *r);
void control_rotate_seal(
	struct control *c, const struct secret *given, const char *by, control_rotated_fn *done, void *arg);
/** A consistent copy of all that is stored: a file without a name, the callee's. */
typedef void control_copied_fn(void *arg, struct fault *f, int fd, int64_t bytes);
void control_backup(struct control *c, const char *by, control_copied_fn *done, void *arg);

/** --- every version that is stored or served, with who holds it --- */
struct control_item {
	const char *entry, *name, *id, *authority, *profile; /* name: "" where the record cannot be read */
	enum secret_kind kind;				     /* 0: unreadable */
	const struct description *description;		     /* NULL: damaged */
	const char *damage;				     /* or NULL */
	int64_t received_at_ms, stored_at_ms;		     /* stored_at_ms 0: in memory alone */
	bool is_current, pinned;
	size_t subscribers;	/* streams that ask for it now; of the current version alone */
	size_t holders;		/* streams that hold this very version by their own word */
	int64_t last_ack_at_ms; /* of this version, by a stream that is open; 0: none */
};
/** By entry, oldest first; borrowed for the call. f: owned by done; then nothing was shown. */
void control_inventory(struct control *c, void (*fn)(void *arg, const struct control_item *item),
	void (*done)(void *arg, struct fault *f), void *arg);

/** --- what there is to see; everything borrowed for the call --- */
struct control_subscriber {
	const char *identity, *node, *acked_version, *nacked_version, *nack_text;
	int64_t since_ms, acked_at_ms, nacked_at_ms; /* wall; 0 never */
	bool delta;
	bool unproven; /* acked by a node that NACKed the same version before: Envoy does that without taking it */
};
struct control_secret {
	const char *name, *entry, *source; /* source: profile and authority, or "put" */
	enum secret_kind kind;		   /* 0: asked for, not known */
	struct version *version;	   /* or NULL */
	int64_t renew_at_ms;		   /* 0: not planned */
	const char *last_error;		   /* of the last failed issuance, or NULL */
	int64_t last_error_at_ms;
	bool issuing, memory_only;
	const char *rejected, *rejected_authority; /* the last answer that was refused, and whose; or NULL */
	int64_t rejected_at_ms;
	int64_t held_since_ms;	   /* a new leaf waits since then until verifiers hold its anchor; 0: none does */
	const char *held_for;	   /* whom it waits for, or NULL */
	size_t subscribers, acked; /* acked: hold this very version by their own word */
	size_t held_back;	   /* nodes that NACKed it */
	int64_t last_ack_at_ms, last_nack_at_ms;
	const char *last_nack; /* node, version and reason, or NULL */
	int64_t wanted_at_ms;
	/* those who have asked longest: of a name that is not known, for whom it is missing */
	const struct control_asker {
		const char *identity, *node;
		int64_t since_ms;
		bool delta; /* told that there is none; SotW has no way to say so */
	} * askers;
	size_t asker_count;
};
enum { CONTROL_ASKERS_MAX = 3 };
void control_each_secret(struct control *c, void (*fn)(void *arg, const struct control_secret *s), void *arg);
void control_each_subscriber(
	struct control *c, const char *entry, void (*fn)(void *arg, const struct control_subscriber *s), void *arg);
/** Who is to blame for a NACK, by what others made of the same version. */
enum control_verdict {
	VERDICT_UNDECIDED, /* nobody else has answered */
	VERDICT_NODE,	   /* others ACKed it: look at this node */
	VERDICT_VERSION,   /* several nodes refuse it and none takes it */
};
const char *control_verdict_name(enum control_verdict v); /* "undecided", "node", "version" */
/** A version that is kept from a node that NACKed it. */
struct control_quarantined {
	const char *entry, *name, *identity, *node, *version, *message;
	const char *held; /* the version that the node holds instead, "" none that is valid */
	int code;
	int64_t since_ms, held_until_ms; /* 0: holds nothing */
	uint64_t times;			 /* NACKs since the start or since it was first seen */
	enum control_verdict verdict;
	size_t refused, taken; /* nodes that NACKed the version; streams of other nodes that ACKed it */
	bool hastens;	       /* a renewal is brought forward for it */
	bool trying;	       /* offered once more: its neighbour has recovered */
};
void control_each_quarantined(struct control *c, void (*fn)(void *arg, const struct control_quarantined *q), void *arg);
struct control_denial {
	const char *identity, *name, *node, *hint; /* hint: the rule that would allow it */
	int64_t first_at_ms, last_at_ms;
	uint64_t count;
};
void control_each_denial(struct control *c, void (*fn)(void *arg, const struct control_denial *d), void *arg);
struct control_authority {
	const char *name, *type, *error, *root_sha256;
	const char *breaker;	  /* "closed", "open", "half-open" */
	const char *last_failure; /* of the last request, or NULL when that succeeded */
	int64_t last_failure_ms;
	int64_t login_ends_ms; /* 0: it has no login, or one without an end */
	bool ready;
	size_t issuing, waiting;
};
void control_each_authority(struct control *c, void (*fn)(void *arg, const struct control_authority *a), void *arg);
/** What a dry issuance came to. */
struct control_rehearsal {
	const char *authority, *profile, *entry;
	int64_t lifetime_ms;			      /* asked for */
	const struct fault *failure;		      /* NULL: it passed every check */
	const struct credential *credential;	      /* then; never stored, never served */
	int64_t wait_ms, key_ms, answer_ms, check_ms; /* of each step; -1: it did not come to that */
};
/** f: it could not begin (NOT_FOUND; UNAVAILABLE: why it cannot be asked), owned by the callee; else r, borrowed. */
typedef void control_rehearsed_fn(void *arg, struct fault *f, const struct control_rehearsal *r);
/** Ask the authority for a leaf as it would be for this secret (NULL: the first that comes from it; sample values stand
 * for what an identity would prove). done comes on a later turn. */
void control_rehearse(struct control *c, const char *authority, const char *secret, const char *by,
	control_rehearsed_fn *done, void *arg);
/** One whose word is missing until leaves under a new anchor of the authority may be served. */
struct control_waited {
	const char *node, *identity, *bundle, *why; /* why: "silent", "refused", "away" */
	int64_t since_ms;
};
void control_each_waited(
	struct control *c, const char *authority, void (*fn)(void *arg, const struct control_waited *w), void *arg);
/** Why we are not ready, or NULL. Borrowed until the next call. */
const char *control_unready(struct control *c);
/** What is amiss though callers are served: the store cannot be written, the clock is doubted. Appended, nothing when
 * all is well. */
struct buf;
void control_add_troubles(const struct control *c, struct buf *ret);
/** Versions served that are not in the store (it could not be written). */
size_t control_memory_only(const struct control *c);
#endif
