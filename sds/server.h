/* sds/server.h - the serving side: workers, each with its own gRPC server and queue, and the listeners that feed them.
 * Not its duty: what secrets are, who may have them (it asks the policy snapshot), where they come from.
 * Thread: control, for every function here. */
#ifndef SDS_SERVER_H
#define SDS_SERVER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/attr.h"
#include "control/identity.h"
#include "control/inbox.h"
#include "control/outlet.h"
struct clock;
struct credential;
struct fault;
struct loop;
struct metrics;
struct policy;
struct sds_server;

/** What clients may use; every value is above 0 unless said. README.md, "Limits", says what happens at each. */
struct sds_limits {
	size_t connections;		 /* on unix sockets; and as many on TCP that have a call */
	size_t connections_per_identity; /* of those: per uid, or per SANs of a client certificate */
	int streams_per_connection;	 /* SETTINGS_MAX_CONCURRENT_STREAMS; >= 1,024 */
	size_t streams_per_identity;	 /* on all its connections */
	size_t names_per_stream;
	size_t names_per_request;
	size_t message_bytes;	    /* of one request; at most 1 GiB */
	size_t node_bytes;	    /* kept of a node's id, cluster and user agent, each; at most NODE_TEXT_MAX */
	size_t memory_bytes;	    /* what gRPC may hold for all peers; 0: half of the machine's, or of the cgroup's */
	size_t streams_per_second;  /* of one connection; five seconds' worth at once. More are read later */
	size_t requests_per_second; /* likewise; a name that is subscribed to counts as a request */
	size_t streams_per_second_per_identity, requests_per_second_per_identity; /* likewise, on all its connections */
	/* Of one identity; 20 seconds' worth at once. New connections of a uid: more are hung up on. Calls that the
	 * client resets before anything was sent on them: who has more is hung up on and kept out for a while. */
	size_t connections_per_second, resets_per_second;
	/* Names that nothing is known of, at once; they come back within ten minutes. More are answered as unknown and
	 * not remembered. */
	size_t new_names_per_connection, new_names_per_identity;
	/* A client that answers nothing of what it is sent: it is offered anew, and in the end its stream is closed. */
	int64_t unanswered_reoffer_ms, unanswered_close_ms;
	int64_t connection_age_ms; /* connections go at this age, within about a third of it; 0: never */
	int64_t connection_age_grace_ms;
	int64_t connection_idle_ms; /* connections without a call go after so long; 0: never */
	int64_t fetch_wait_ms;	    /* FetchSecrets and half-closed streams wait so long for what is being issued */
};
struct sds_options {
	unsigned workers;
	struct sds_limits limits;
	/** Delta ADS streams are sent each name anew about so often (Envoy #47309); 0: never. */
	int64_t repush_ms;
	const char *instance; /* control_plane.identifier; copied */
	struct loop *loop;
	const struct clock *clock;
	struct metrics *metrics;
	struct inbox *inbox;   /* control's */
	struct policy *policy; /* the first snapshot; a reference is taken */
};

/** Starts the worker threads; nothing listens yet. The caller owns *ret. */
MUST_USE struct fault *sds_server_new(const struct sds_options *o, struct sds_server **ret);
/** What control is given to reach the workers. Borrowed while the server lives. */
const struct outlet *sds_server_outlet(struct sds_server *s);
/** Serve connections of this listening unix socket (base/io/accept.h made it, or systemd). Takes the descriptor. */
MUST_USE struct fault *sds_server_listen_unix(struct sds_server *s, int listen_fd);
/** TCP with mutual TLS: "host:port", "[v6]:port"; port 0 picks one. CONFLICT: the port is taken (also by another
 * leafcast). Before sds_server_start(). ret_port may be NULL. A certificate and client trust must have been set. */
MUST_USE struct fault *sds_server_listen_tcp(struct sds_server *s, const char *address, size_t tls, int *ret_port);
/** The TLS side of TCP listener number tls (0, 1, ...): used by each new handshake from now on. References are taken;
 *  trust: the authorities whose clients may connect; calls of those who would not be let in any more end. INVALID: the
 *  pair or the trust cannot be used; the former stays. */
MUST_USE struct fault *sds_server_set_tls(
	struct sds_server *s, size_t tls, struct credential *c, const struct client_trust *trust, size_t trust_count);
/** Begin to answer. Health of each service is SERVING from now on. */
void sds_server_start(struct sds_server *s);
/** Readiness as grpc.health.v1 shows it. */
void sds_server_set_health(struct sds_server *s, bool serving);
/** design: invariant 10. NOT_SERVING, no new streams, owed answers given, GOAWAY, streams end UNAVAILABLE spread over
 * the grace, then cancel. drained(arg) on the loop once every worker has stopped. */
void sds_server_drain(struct sds_server *s, int64_t grace_ms, void (*drained)(void *arg), void *arg);
/** Only after drained, or when never started. */
void sds_server_free(struct sds_server *s);

struct sds_counts {
	uint64_t connections, streams, subscriptions;
};
struct sds_counts sds_server_counts(const struct sds_server *s); /* now; any thread */
#endif
