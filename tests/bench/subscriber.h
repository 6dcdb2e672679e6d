/* tests/bench/subscriber.h - one stream of the crowd: asks for one secret, ACKs whatever comes, counts.
 * Thread: the load generator's only one. Owner: the crowd makes it; it frees itself when its call has ended. */
#ifndef TESTS_BENCH_SUBSCRIBER_H
#define TESTS_BENCH_SUBSCRIBER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <grpc/grpc.h>
#include "base/buf.h"

struct subscriber;

/** What all subscribers share: how they ask, and what they have seen. */
struct crowd {
	grpc_completion_queue *queue;
	bool delta;
	struct buf node; /* message_add_node */
	bool closing;	 /* ends are wanted, answers are not */
	size_t live;
	size_t waiting; /* subscribers to which an answer is due */
	size_t sending;
	size_t failed; /* ended without being asked to */
	size_t extra;  /* answers that were not awaited */
	size_t answer_bytes;
	int64_t measured_from; /* monotonic ns */
	int64_t *delays;       /* of awaited answers, in ns; NULL: not measured */
	size_t delay_count;
};

/** Open a stream on a channel. *slot holds the subscriber until it ends, then NULL. */
void subscriber_open(struct crowd *c, grpc_channel *channel, size_t client, const char *name, struct subscriber **slot);
/** One answer more is due, if name is what it asked for. */
void subscriber_await(struct subscriber *s, const char *name);
void subscriber_cancel(struct subscriber *s);
/** Handle a completion of the crowd's queue. */
void subscriber_on_tag(void *tag);
/** Now, monotonic ns. */
int64_t subscriber_now(void);
#endif
