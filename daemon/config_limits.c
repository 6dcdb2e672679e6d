/* daemon/config_limits.c - the limits: what clients may use, each with a default that does not hinder one Envoy. */
#include "daemon/config.h"
#include "daemon/config_parts.h"

static const struct field limit_fields[] = {
	{.key = "connections",
		.type = FIELD_NUMBER,
		FIELD_AT(struct config, limits.connections),
		.min = 16,
		.max = 1000000,
		.initial = "65536",
		.restart = true,
		.help = "connections on unix sockets (at most three quarters of the open files that are permitted), "
			"and "
			"as many with a call on TCP; when they run short, those with more than an equal share get no "
			"more"},
	{.key = "connections_per_identity",
		.type = FIELD_NUMBER,
		FIELD_AT(struct config, limits.connections_per_identity),
		.min = 16,
		.max = 1000000,
		.initial = "16384",
		.restart = true,
		.help = "the same of one uid, or of one client certificate's names"},
	{.key = "streams_per_connection",
		.type = FIELD_NUMBER,
		FIELD_AT(struct config, limits.streams_per_connection),
		.min = 1024,
		.max = 1000000,
		.initial = "10000",
		.restart = true,
		.help = "streams of one connection"},
	{.key = "names_per_stream",
		.type = FIELD_NUMBER,
		FIELD_AT(struct config, limits.names_per_stream),
		.min = 1,
		.max = 100000,
		.initial = "10000",
		.restart = true,
		.help = "names that one stream may subscribe to"},
	{.key = "names_per_request",
		.type = FIELD_NUMBER,
		FIELD_AT(struct config, limits.names_per_request),
		.min = 1,
		.max = 100000,
		.initial = "10000",
		.restart = true,
		.help = "names in one list of a request, repeated ones included"},
	{.key = "message_bytes",
		.type = FIELD_NUMBER,
		FIELD_AT(struct config, limits.message_bytes),
		.min = 64 * 1024,
		.max = 64 * 1024 * 1024,
		.initial = "4194304",
		.restart = true,
		.help = "bytes of one request; a larger one ends its stream with RESOURCE_EXHAUSTED"},
	{.key = "memory_bytes",
		.type = FIELD_NUMBER,
		FIELD_AT(struct config, limits.memory_bytes),
		.min = 16 * 1024 * 1024,
		.max = INT64_C(1) << 40,
		.otherwise = "half of the machine's memory, or of what its cgroup may use",
		.restart = true,
		.help = "bytes that gRPC may hold for all clients together; at the bound it closes idle connections, "
			"then resets streams"},
	{.key = "fetch_wait",
		.type = FIELD_DURATION,
		FIELD_AT(struct config, limits.fetch_wait_ms),
		.max = 60000,
		.initial = "10s",
		.restart = true,
		.help = "how long FetchSecrets waits for what is being issued"},
};
static const struct field_set limit_set = {"limits", limit_fields, ARRAY_LEN(limit_fields)};

const struct field_set *config_limit_fields(void)
{
	return &limit_set;
}
