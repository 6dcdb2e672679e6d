#include "base/clock.h"
#include <stdio.h>
#include <time.h>
#include "base/mem.h"

static int64_t read_ms(clockid_t id)
{
	struct timespec t;
	invariant(clock_gettime(id, &t) == 0);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t system_wall_ms(void *arg)
{
	(void)arg;
	return read_ms(CLOCK_REALTIME);
}

static int64_t system_mono_ms(void *arg)
{
	(void)arg;
	return read_ms(CLOCK_BOOTTIME);
}

const struct clock *clock_system(void)
{
	static const struct clock system = {system_wall_ms, system_mono_ms, NULL};
	return &system;
}

int64_t clock_wall_ms(const struct clock *c)
{
	return c->wall_ms(c->arg);
}

int64_t clock_mono_ms(const struct clock *c)
{
	return c->mono_ms(c->arg);
}

void clock_format(int64_t wall_ms, char *ret, unsigned size)
{
	int64_t s = wall_ms / 1000, ms = wall_ms % 1000;
	if (ms < 0) {
		ms += 1000;
		s--;
	}
	time_t at = (time_t)s;
	struct tm tm;
	char date[32];
	if (!gmtime_r(&at, &tm) || !strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm)) {
		(void)snprintf(ret, size, "-");
		return;
	}
	(void)snprintf(ret, size, "%s.%03dZ", date, (int)ms);
}
