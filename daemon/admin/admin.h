/* daemon/admin/admin.h - the operator's API (HTTP over the admin unix socket) and the telemetry listener (/metrics,
 * /healthz, /readyz, read-only). Thread: control. */
#ifndef DAEMON_ADMIN_ADMIN_H
#define DAEMON_ADMIN_ADMIN_H
#include <stdbool.h>
#include "base/attr.h"
struct admin;
struct clock;
struct control;
struct fault;
struct jobs;
struct loop;
struct metrics;
struct sds_server;

struct admin_options {
	struct loop *loop;
	struct jobs *jobs;
	const struct clock *clock;
	struct control *control;
	struct sds_server *server;
	struct metrics *metrics;
	const char *version; /* leafcast's own; borrowed */
	/** Read the config file again; NULL or the reason for which it was refused (owned by the caller). */
	struct fault *(*reload)(void *arg);
	void *arg;
};

/** The caller owns the result: admin_free(). */
struct admin *admin_new(const struct admin_options *o);
/** The whole API, for root and our own uid. Takes the listening descriptor. */
MUST_USE struct fault *admin_listen_unix(struct admin *a, int listen_fd);
/** Telemetry alone: "host:port", port 0 picks one. ret_port may be NULL. */
MUST_USE struct fault *admin_listen_tcp(struct admin *a, const char *address, int *ret_port);
/** A unix socket that serves SDS: the first one is shown to whoever looks for one. */
void admin_note_sds(struct admin *a, const char *path);
/** From now on /readyz and new orders say 503. Before control_close(), which ends the orders under way. */
void admin_quiesce(struct admin *a);
/** After control_close(). NULL is fine. */
void admin_free(struct admin *a);
#endif
