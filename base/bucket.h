/* base/bucket.h - a token bucket in one number: the time at which it will be full again. Takes may go below empty (a
 * debt that time pays), so that whoever counts afterwards can. Pure; the owner's thread. */
#ifndef BASE_BUCKET_H
#define BASE_BUCKET_H
#include <stdbool.h>
#include <stdint.h>

/** A full bucket of another size is the same bucket, so the size may change. Zeroed: full. */
struct bucket {
	int64_t full_at_us; /* monotonic */
};
struct bucket_size {
	int64_t tokens;	  /* when it is full; at least 1 */
	int64_t token_us; /* how long one takes to come back */
};

/** So many tokens, all of which come back in fill_ms. */
static inline struct bucket_size bucket_size(int64_t tokens, int64_t fill_ms)
{
	return (struct bucket_size){tokens, fill_ms * 1000 / tokens};
}

/** How long until there is a token, in ms, rounded up; 0: now. */
static inline int64_t bucket_wait_ms(const struct bucket *b, struct bucket_size s, int64_t now_ms)
{
	int64_t over_us = b->full_at_us - now_ms * 1000 - (s.tokens - 1) * s.token_us;
	return over_us > 0 ? (over_us + 999) / 1000 : 0;
}

static inline void bucket_take(struct bucket *b, struct bucket_size s, int64_t tokens, int64_t now_ms)
{
	if (b->full_at_us < now_ms * 1000)
		b->full_at_us = now_ms * 1000;
	b->full_at_us += tokens * s.token_us;
}

static inline bool bucket_is_full(const struct bucket *b, int64_t now_ms)
{
	return b->full_at_us <= now_ms * 1000;
}
#endif
