/* base/attr.h - the closed set of flow macros (CONTRIBUTING.md): MUST_USE, AUTO, TAKE, ARRAY_LEN, container_of, and
 * PRINTF_LIKE for functions that format. */
#ifndef BASE_ATTR_H
#define BASE_ATTR_H
#include <stddef.h>

/** The result cannot be dropped silently. */
#define MUST_USE __attribute__((warn_unused_result))
/** Run freep(&var) when var leaves scope; ownership leaves by TAKE(var). */
#define AUTO(freep) __attribute__((cleanup(freep)))
/** Move a pointer out: yields its value and leaves NULL behind. */
#define TAKE(var)                                                                                                      \
	__extension__({                                                                                                \
		__typeof__(var) took_ = (var);                                                                         \
		(var) = NULL;                                                                                          \
		took_;                                                                                                 \
	})
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#endif
