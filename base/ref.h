/* base/ref.h - an atomic count of references to something immutable. Thread: any. */
#ifndef BASE_REF_H
#define BASE_REF_H
#include <stdatomic.h>
#include <stdbool.h>

struct ref {
	atomic_uint count;
};

/** One reference, the maker's. */
static inline void ref_init(struct ref *r)
{
	atomic_init(&r->count, 1);
}

static inline void ref_up(struct ref *r)
{
	atomic_fetch_add_explicit(&r->count, 1, memory_order_relaxed);
}

/** True for exactly one caller: the one that dropped the last reference and now frees. */
static inline bool ref_down(struct ref *r)
{
	return atomic_fetch_sub_explicit(&r->count, 1, memory_order_acq_rel) == 1;
}
#endif
