/* tests/unit/sds_rig.h - a whole serving side with a control of a few lines before it and raw gRPC clients behind it.
 * The test's thread is control: everything happens in rig_turn() or in a wait that turns, each with a deadline.
 *
 * The little control answers `wanted` as the real one does: publish what it has, absent for what it does not know or
 * policy denies, nothing for what it is "issuing" (rig_issue()). It keeps every report for the test to look at. */
#ifndef TESTS_UNIT_SDS_RIG_H
#define TESTS_UNIT_SDS_RIG_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/clock.h"
#include "control/inbox.h"
#include "rpc_client.h"
#include "sds/server.h"
#include "xds_message.h"

#define RIG_STREAM_SECRETS "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets"
#define RIG_DELTA_SECRETS "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets"
#define RIG_FETCH_SECRETS "/envoy.service.secret.v3.SecretDiscoveryService/FetchSecrets"
#define RIG_DELTA_ADS "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
#define RIG_STREAM_ADS "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"

enum { RIG_WORKERS_MAX = 4, RIG_DEADLINE_MS = 60000, RIG_MEMORY_BYTES = 64 << 20 };

struct rig_report {
	unsigned worker, what;
	uint64_t stream;
	char name[64], acked[33], nacked[33], held[33], nack_text[600];
	bool has_answer, delta;
};

struct rig {
	struct clock clock;    /* the system's, and what rig_skip() added */
	atomic_llong ahead_ms; /* read by workers */
	struct loop *loop;
	struct metrics *metrics;
	struct mailbox *mailbox;
	struct wakeup *wakeup;
	struct inbox inbox;
	struct policy *policy;
	struct sds_server *server;
	const struct outlet *out;
	struct timer *tick; /* bounds a turn in which nothing happens */
	struct unix_socket *socket;
	char folder[32];
	char *path, *target;
	uint64_t seq;
	uint64_t policy_generation;
	struct rig_secret *secrets; /* what control has, or is issuing */
	struct rig_report *reports;
	size_t report_count, batches;
	unsigned untaken[RIG_WORKERS_MAX]; /* batches, while hold_taken */
	bool mute;			   /* do not answer `wanted` */
	bool hold_taken;		   /* do not say `taken` */
	uint64_t applied[RIG_WORKERS_MAX];
	bool stopped[RIG_WORKERS_MAX];
	bool drained;
};

/** may: patterns that our own uid, and spiffe://rig/..., may have; NULL ends them. Serving when this returns. */
struct rig *rig_new(unsigned workers, const char *const *may);
/** The same in two steps. */
struct rig *rig_make(unsigned workers, const char *const *may);
/** Other limits than rig_limits(). */
struct rig *rig_make_limited(unsigned workers, const char *const *may, const struct sds_limits *l);
struct sds_limits rig_limits(void);
/** Delta ADS streams are sent each name anew about so often. */
struct rig *rig_make_repushing(unsigned workers, const char *const *may, int64_t repush_ms);
void rig_start(struct rig *r);
/** Drains without grace (unless drained already), and checks that nothing is left. */
void rig_free(struct rig *r);
/** One turn of control and, if given, of a client. */
void rig_turn(struct rig *r, struct rpc_client *c);
/** Turns until cond(arg); fails the test at the deadline. */
void rig_until(struct rig *r, struct rpc_client *c, bool (*cond)(void *arg), void *arg);

/** A bundle of so many certificates, unlike any other, valid for an hour; the caller owns it. */
struct entry_key;
struct version *rig_make_version(const struct entry_key *entry, int certificates);
/** A new version of this name, published to all workers. Its id into ret_id (33 bytes), which may be NULL. */
void rig_publish(struct rig *r, const char *name, char *ret_id);
/** One that is larger than the window that an HTTP/2 client gives a stream (64 KiB). */
void rig_publish_large(struct rig *r, const char *name);
void rig_issue(struct rig *r, const char *name); /* from now on it is being issued: wants wait */
void rig_delete(struct rig *r, const char *name);
void rig_set_policy(struct rig *r, const char *const *may);
/** on: the node holds one of the versions before it. forgive: streams that NACKed it may have it again. */
void rig_quarantine(
	struct rig *r, const char *node_id, const char *name, const char *version_id, bool on, bool forgive);
void rig_revoke(struct rig *r, const char *name, const char *version_id);
void rig_release_taken(struct rig *r);
/** Every worker has taken in all that was posted. */
void rig_settle(struct rig *r);
/** Time passes for the workers: what is due by then has happened when this returns. */
void rig_skip(struct rig *r, int64_t ms);
void rig_drain(struct rig *r, int64_t grace_ms);

/** The first report at or after *from about this name with all these bits, or NULL. */
const struct rig_report *rig_find_report(const struct rig *r, size_t from, const char *name, unsigned what);
const struct rig_report *rig_wait_report(
	struct rig *r, struct rpc_client *c, size_t from, const char *name, unsigned what);

/** Has a limit been reached, by the metrics? By its key in the config. */
bool rig_counted_limit(struct rig *r, const char *limit);

/* --- clients --- */
struct rpc_client *rig_dial(struct rig *r);
void rig_ask(struct rpc_stream *s, const struct xds_ask *a);
/** The next answer; fails the test when the stream ends first, or at the deadline. */
void rig_receive(struct rig *r, struct rpc_client *c, struct rpc_stream *s, bool delta, struct xds_answer *ret);
/** Turns until the stream is over; its status. Messages that came before are left to be taken. */
int rig_wait_end(struct rig *r, struct rpc_client *c, struct rpc_stream *s);
/** Is there an answer by the time that a message sent now has gone through control and back? A fence, not a wait. */
bool rig_is_silent(struct rig *r, struct rpc_client *c, struct rpc_stream *s);
#endif
