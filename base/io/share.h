/* base/io/share.h - may this owner have one more of something that is bounded? As long as there is plenty, anybody may;
 * when seven eighths are taken, nobody who has an equal share already. Pure. */
#ifndef BASE_IO_SHARE_H
#define BASE_IO_SHARE_H
#include <stdbool.h>
#include <stddef.h>

/** taken of max are in use, own of them by this owner; owners: how many have some, this one counted, at least 1. */
static inline bool share_allows(size_t taken, size_t max, size_t own, size_t owners)
{
	if (taken >= max)
		return false;
	/* One share is kept free, for whoever has nothing yet. */
	return taken < max - max / 8 || own < max / (owners + 1);
}
#endif
