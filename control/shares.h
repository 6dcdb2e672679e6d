/* control/shares.h - what is remembered of peers, in bounded room that they share fairly: where it is full, the oldest
 * thing of whoever has the most goes. So one peer that makes things up pushes out its own, not its neighbours'. A share
 * also bounds how often its owner makes us write a line. Thread: control. */
#ifndef CONTROL_SHARES_H
#define CONTROL_SHARES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
struct share;

/** Zeroed: empty. */
struct shares {
	struct share *owners; /* by owner */
	size_t count;	      /* of links */
};
/** Embedded in what is remembered. */
struct share_link {
	struct share_link *prev, *next; /* the owner's, oldest first */
	struct share *share;
};

/** As the owner's youngest. owner: identity_key(), copied. */
void shares_add(struct shares *s, const char *owner, struct share_link *l);
void shares_remove(struct shares *s, struct share_link *l);
/** It is the owner's youngest again. */
void shares_touch(struct share_link *l);
/** The oldest of whoever has the most, NULL when there is nothing. Time: the number of owners. */
struct share_link *shares_victim(const struct shares *s);
/** The owner's oldest, or NULL; the others follow by next. */
struct share_link *shares_of(const struct shares *s, const char *owner);
/** May a line be written about this owner? SHARE_LINES at once, one more every SHARE_LINE_MS.
 *  True: *ret_unsaid is how many were not since. now_ms: monotonic. */
enum { SHARE_LINES = 256 };
#define SHARE_LINE_MS INT64_C(1000)
bool share_may_speak(const struct share_link *l, int64_t now_ms, uint64_t *ret_unsaid);
#endif
