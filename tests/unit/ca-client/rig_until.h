/* tests/unit/ca-client/rig_until.h - waiting for a driver: for rigs that have a loop and a watchdog (rig_watchdog). */
#ifndef TESTS_UNIT_CA_CLIENT_RIG_UNTIL_H
#define TESTS_UNIT_CA_CLIENT_RIG_UNTIL_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/io/loop.h"

#define RIG_PATIENCE_MS (INT64_C(20) * MS_PER_S)

static void rig_watchdog(void *arg)
{
	(void)arg;
	fail_msg("nothing happened for too long");
}

/* Turns the loop until the condition holds. */
#define rig_until(r, condition)                                                                                        \
	do {                                                                                                           \
		timer_start((r)->watchdog, RIG_PATIENCE_MS);                                                           \
		while (!(condition))                                                                                   \
			(void)loop_turn((r)->loop, true);                                                              \
		timer_stop((r)->watchdog);                                                                             \
	} while (0)
#endif
