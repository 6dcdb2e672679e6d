/* tests/bench/message.h - what a subscriber says: its first request, with a node as long as Envoy's, and its ACKs.
 * Thread: any. */
#ifndef TESTS_BENCH_MESSAGE_H
#define TESTS_BENCH_MESSAGE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
struct buf;

/** Append a Node of about that many bytes, all of it but its id. As Envoy's, it is mostly a list of extensions. */
void message_add_node(size_t bytes, struct buf *ret);
/** Append the first request for one secret: DeltaDiscoveryRequest or DiscoveryRequest. node_tail is message_add_node's;
 *  its id is made of client. */
void message_add_first(bool delta, const struct buf *node_tail, size_t client, const char *name, struct buf *ret);
/** Append the ACK to an answer; false when it is not an answer with that one secret. */
bool message_add_ack(bool delta, const char *expected, const uint8_t *bytes, size_t len, struct buf *ret);
#endif
