/* base/duration.h - durations as people write them: "10s", "1h30m", "2d". Pure. */
#ifndef BASE_DURATION_H
#define BASE_DURATION_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Whole numbers with units d, h, m, s, ms, largest first, each at most once; at most 100 years. False: none. In ms. */
bool duration_parse(const char *text, int64_t *ret_ms);
/** The shortest text that reads as these ms (>= 0). ret at least 48 bytes. */
const char *duration_text(int64_t ms, char *ret, size_t size);
#endif
