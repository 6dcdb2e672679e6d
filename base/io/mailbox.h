/* base/io/mailbox.h - messages from any thread to one owner thread, in order.
 * Neither blocks nor drops. Bounded because messages coalesce: a message with a key replaces a waiting one with the
 * same key (the old one is freed; the new one goes to the end, so order between different keys stays true to the latest
 * post). The owner is woken once per batch: the pending flag is cleared before the messages are taken (design:
 * invariant 7). */
#ifndef BASE_IO_MAILBOX_H
#define BASE_IO_MAILBOX_H
#include <stdbool.h>
#include <stddef.h>
#include "base/table.h"
#include "base/attr.h"
struct mailbox;

/** Embedded as the first member of every message. */
struct mail {
	struct mail *next, *prev;
	UT_hash_handle hh;
	const void *key; /* borrowed from the message itself; NULL: never coalesces */
	size_t key_len;
	void (*free)(struct mail *m); /* releases a message that was replaced, refused or read */
	int type;		      /* the owner's enum */
};

/** wake(arg) is called from posting threads, with the mailbox's lock held, at most once until the next drain; it must
 *  not block nor call back into the mailbox. The caller owns the result. */
struct mailbox *mailbox_new(void (*wake)(void *arg), void *arg);
/** Takes m. After mailbox_close() it is freed instead and the answer is false. Thread: any. */
bool mailbox_post(struct mailbox *b, struct mail *m);
/** Move at most max messages (0: all) to the caller as a list by next, oldest first; NULL when there is none. Whatever
 * is left rings again. Thread: owner. */
struct mail *mailbox_drain(struct mailbox *b, size_t max);
/** No post succeeds, and wake is not called, after this returns (before an owner's queue is shut down). What waits is
 *  freed. Thread: owner. */
void mailbox_close(struct mailbox *b);
size_t mailbox_length(struct mailbox *b); /* any thread; for a gauge */
void mailbox_free(struct mailbox *b);	  /* closes first; NULL is fine */
#endif
