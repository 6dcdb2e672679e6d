/* sds/methods.c - what can be called. */
#include <string.h>
#include "sds/internal.h"

#define SDS "/envoy.service.secret.v3.SecretDiscoveryService/"
#define ADS "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
#define HEALTH "/grpc.health.v1.Health/"

static const struct method methods[METHOD_COUNT] = {
	{.path = SDS "StreamSecrets", .kind = METHOD_STREAM, .mode = ENGINE_SOTW, .label = "StreamSecrets"},
	{.path = SDS "DeltaSecrets", .kind = METHOD_STREAM, .mode = ENGINE_DELTA, .label = "DeltaSecrets"},
	{.path = SDS "FetchSecrets", .kind = METHOD_FETCH, .label = "FetchSecrets"},
	{.path = ADS "StreamAggregatedResources",
		.kind = METHOD_STREAM,
		.mode = ENGINE_SOTW,
		.ads = true,
		.label = "StreamAggregatedResources"},
	{.path = ADS "DeltaAggregatedResources",
		.kind = METHOD_STREAM,
		.mode = ENGINE_DELTA,
		.ads = true,
		.label = "DeltaAggregatedResources"},
	{.path = HEALTH "Check", .kind = METHOD_HEALTH_CHECK, .label = "Health.Check"},
	{.path = HEALTH "Watch", .kind = METHOD_HEALTH_WATCH, .label = "Health.Watch"},
	{.path = HEALTH "List", .kind = METHOD_HEALTH_LIST, .label = "Health.List"},
	{.path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
		.kind = METHOD_REFLECTION,
		.label = "ServerReflectionInfo"},
	{.path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
		.kind = METHOD_REFLECTION,
		.v1alpha = true,
		.label = "ServerReflectionInfo.v1alpha"},
};

const struct method *method_find(const char *path, size_t len)
{
	for (size_t i = 0; i < METHOD_COUNT; i++)
		if (strlen(methods[i].path) == len && strncmp(methods[i].path, path, len) == 0)
			return &methods[i];
	return NULL;
}

size_t method_number(const struct method *m)
{
	return (size_t)(m - methods);
}

const struct method *method_by_number(size_t n)
{
	return &methods[n];
}
