/* base/clock.h - what time it is. Wall time for certificates, monotonic (CLOCK_BOOTTIME, so that a suspended machine
 * notices) for waiting; both signed 64-bit ms. Read once per event. Tests hand in a fake. Thread: any. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H
#include <stdint.h>

struct clock {
	int64_t (*wall_ms)(void *arg); /* since 1970, UTC */
	int64_t (*mono_ms)(void *arg);
	void *arg;
};

/** The system's clock; static, never freed. */
const struct clock *clock_system(void);
int64_t clock_wall_ms(const struct clock *c);
int64_t clock_mono_ms(const struct clock *c);
/** "2026-11-24T12:00:00.123Z" of a wall time into ret; size at least 32. */
void clock_format(int64_t wall_ms, char *ret, unsigned size);

#define MS_PER_S INT64_C(1000)
#define MS_PER_MIN (60 * MS_PER_S)
#define MS_PER_HOUR (60 * MS_PER_MIN)
#define MS_PER_DAY (24 * MS_PER_HOUR)
#endif
