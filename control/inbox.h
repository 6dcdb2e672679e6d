/* control/inbox.h - what workers tell control: who wants what, what was ACKed and NACKed, who is gone.
 * A worker has at most one batch under way: while it waits, what happens coalesces in the worker by (stream, name), so
 * a slow control loop costs a flag per subscription, never a backlog (design: invariant 8). */
#ifndef CONTROL_INBOX_H
#define CONTROL_INBOX_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/io/mailbox.h"
struct entry_key;
struct identity;
struct node;

/** What happened since the last batch; several may hold at once and are read in this order. */
enum report_what {
	REPORT_WANTED =
		1 << 0, /* subscribed (or still subscribed under a new entry): answer by one publish or absent */
	REPORT_ACKED = 1 << 1,
	REPORT_NACKED = 1 << 2,
	REPORT_GONE = 1 << 3, /* unsubscribed or stream ended; ends the subscription */
};

struct report {
	unsigned what;
	uint64_t stream;	   /* unique per worker, never reused */
	uint64_t subscription;	   /* this stream's interest in this name, likewise */
	char *name;		   /* as asked for; owned */
	struct entry_key *entry;   /* owned reference; NULL when the identity lacks an attribute of the template */
	struct identity *identity; /* owned reference */
	struct node *node;	   /* owned reference */
	bool delta;
	bool has_answer; /* WANTED: the worker had a version or an absence at hand and needs no answer */
	char acked_version[33];
	char nacked_version[33];
	char held_version[33];	/* NACKED: what the stream last ACKed, or claimed to hold; "" nothing */
	int64_t push_to_ack_ms; /* ACKED: from the offer to its ACK; -1 unknown */
	int nack_code;
	char *nack_text; /* redacted by the reader already; owned or NULL */
};

struct report_batch {
	struct mail mail;
	unsigned worker;
	/** The highest sequence number that this worker has taken in: what `put` and `rotate` wait for. */
	uint64_t applied_seq;
	bool stopped; /* the last batch of a drained worker */
	size_t count;
	struct report reports[];
};

/** The caller owns the result until report_batch_post(). */
struct report_batch *report_batch_new(unsigned worker, size_t count);
void report_batch_free(struct report_batch *b);

/** How a worker reaches control: mailbox_post() of a batch's mail. Batches carry no key: one per worker is under way,
 * and the next follows control's outlet->taken(). */
struct inbox {
	struct mailbox *mailbox;
};
#endif
