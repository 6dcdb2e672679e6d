/* sds/health_reply.h - the messages of grpc.health.v1. Pure. */
#ifndef SDS_HEALTH_REPLY_H
#define SDS_HEALTH_REPLY_H
#include <stddef.h>
#include "base/attr.h"
struct buf;
struct fault;

enum health_status { HEALTH_UNKNOWN = 0, HEALTH_SERVING = 1, HEALTH_NOT_SERVING = 2, HEALTH_SERVICE_UNKNOWN = 3 };

/** The service that a HealthCheckRequest names; at most max bytes. INVALID: malformed, too long. The caller owns *ret.
 */
MUST_USE struct fault *health_decode_request(const void *bytes, size_t len, size_t max, char **ret);
/** Append a HealthCheckResponse. */
void health_encode_status(enum health_status s, struct buf *ret);
/** Append a HealthListResponse that gives each service the same status. */
void health_encode_list(const char *const *services, size_t count, enum health_status s, struct buf *ret);
#endif
