/* sds/limit.c - what a peer ran into: counted by limit, and said once per limit and interval with the number of times
 * that it was not. */
#include <grpc/status.h>
#include "base/attr.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/identity.h"
#include "sds/internal.h"

/* As the keys of the config are called. */
static const char *const names[LIMIT_COUNT] = {
	[LIMIT_STREAMS_PER_CONNECTION] = "streams_per_connection",
	[LIMIT_CONNECTIONS] = "connections",
	[LIMIT_CONNECTIONS_PER_IDENTITY] = "connections_per_identity",
	[LIMIT_NAMES_PER_STREAM] = "names_per_stream",
	[LIMIT_NAMES_PER_REQUEST] = "names_per_request",
	[LIMIT_MESSAGE_BYTES] = "message_bytes",
	[LIMIT_STREAMS_PER_SECOND] = "streams_per_second",
	[LIMIT_REQUESTS_PER_SECOND] = "requests_per_second",
	[LIMIT_STREAMS_PER_SECOND_PER_IDENTITY] = "streams_per_second_per_identity",
	[LIMIT_REQUESTS_PER_SECOND_PER_IDENTITY] = "requests_per_second_per_identity",
	[LIMIT_STREAMS_PER_IDENTITY] = "streams_per_identity",
	[LIMIT_NEW_NAMES_PER_CONNECTION] = "new_names_per_connection",
	[LIMIT_NEW_NAMES_PER_IDENTITY] = "new_names_per_identity",
	[LIMIT_UNANSWERED_REOFFER] = "unanswered_reoffer",
	[LIMIT_UNANSWERED_CLOSE] = "unanswered_close",
	[LIMIT_CONNECTION_AGE] = "connection_age",
	[LIMIT_NODE_BYTES] = "node_bytes",
	[LIMIT_CONNECTIONS_PER_SECOND] = "connections_per_second",
	[LIMIT_RESETS_PER_SECOND] = "resets_per_second",
	[LIMIT_FLOOD] = "flood", /* base/io/accept_watch.c, accept_tcp.c */
};

const char *limit_name(enum limit l)
{
	return names[l];
}

void limit_hit(struct call *c, enum limit l)
{
	struct worker *w = c->worker;
	uint64_t held_back = 0;
	meters_limit(w->server, l);
	if (quiet_passes(&w->limits[l], w->now_ms, &held_back))
		log_event(LOG_WARN, "limit.reached", LS("limit", names[l]),
			LS("who", c->conn ? identity_text(c->conn->identity) : ""),
			LS("peer", c->conn && c->conn->peer ? c->conn->peer : ""), LI("stream", (int64_t)c->id),
			LI("held_back", held_back));
}

void limit_end(struct call *c, enum limit l, const char *text)
{
	AUTO(mem_freep) char *whole = mem_printf("%s (limits.%s)", text, names[l]);
	limit_hit(c, l);
	call_end(c, GRPC_STATUS_RESOURCE_EXHAUSTED, whole);
}
