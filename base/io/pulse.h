/* base/io/pulse.h - whether a thread's loop still turns: the thread says so at each turn, and whoever watches sees when
 * it works and does not. Some libraries' loops do not come back while one peer keeps them busy. Thread: pulse_begin(),
 * pulse_turn() the watched one; pulse_is_captive() the watcher. Zeroed: nobody is watched yet. */
#ifndef BASE_IO_PULSE_H
#define BASE_IO_PULSE_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pulse {
	_Atomic uint64_t turns;
	_Atomic int clock; /* of the thread's CPU time; valid once there was a turn */
};
/** What the watcher saw last. Zeroed: nothing. */
struct pulse_sight {
	uint64_t turns;
	int64_t cpu_us;
};

void pulse_begin(struct pulse *p);
/** Costs an increment. */
void pulse_turn(struct pulse *p);
/** It has used so much CPU and made no turn since the last sight that said something else, or that found it captive. A
 * thread that sleeps is none, and one that gets little of the CPU is found as well. */
bool pulse_is_captive(struct pulse *p, struct pulse_sight *s, int64_t cpu_us);
#endif
