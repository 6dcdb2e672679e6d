/* tests/unit/h2_flood.h - a hostile HTTP/2 client: opens many streams and sends on each the better part of a message
 * that never ends. */
#ifndef TESTS_UNIT_H2_FLOOD_H
#define TESTS_UNIT_H2_FLOOD_H
#include <stddef.h>
#include <stdint.h>

struct h2_flood_result {
	size_t sent_bytes; /* of message, taken by the server */
	size_t refused;	   /* streams that it reset or ended, or all of them when it closed the connection */
};
/** On the unix socket at path; streams are of this method, each sends up to stream_bytes. Returns when refused streams
 * reach enough, when all is sent, or after within_ms. */
struct h2_flood_result h2_flood(
	const char *path, const char *method, int streams, size_t stream_bytes, size_t enough, int64_t within_ms);
#endif
