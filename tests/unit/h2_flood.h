/* tests/unit/h2_flood.h - hostile HTTP/2 clients: one opens many streams and sends on each the better part of a message
 * that never ends, one opens streams and resets them. */
#ifndef TESTS_UNIT_H2_FLOOD_H
#define TESTS_UNIT_H2_FLOOD_H
#include <stdbool.h>
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
/** Open streams of this method and reset them, few at a time: the next ones when the server has read those before.
 * True: it hung up. */
bool h2_resets(const char *path, const char *method, int64_t within_ms);
/** The server hangs up on a new connection without a word. */
bool h2_is_kept_out(const char *path);
#endif
