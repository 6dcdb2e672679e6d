/* control/admission.h - whose turn it is at one authority: so many requests at once, so many a second, the most urgent
 * first. Pure: when the next one may go is for the caller to wait for. Monotonic times in ms, except where said. */
#ifndef CONTROL_ADMISSION_H
#define CONTROL_ADMISSION_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
struct admission;
struct fault;

/* Somebody who waits; part of his own struct, zeroed before its first use. */
struct ticket {
	int64_t ends_ms; /* wall: when what he has ends; 0: he has nothing */
	size_t waiters;	 /* proxies that wait for it; between equals the more the sooner */
	uint64_t number; /* then in order of coming */
	uint64_t probe;	 /* for the one who lets him go: breaker.h */
	size_t place;	 /* inner: in the heap, from 1; 0: he does not wait */
	/** On the loop; his turn, or the fault (owned by the callee) why there will be none. */
	void (*go)(void *arg, struct fault *f);
	void *arg;
};

/** At most in_flight at once; per_second 0: no limit. The caller owns the result. */
struct admission *admission_new(unsigned in_flight, unsigned per_second);
void admission_free(struct admission *a); /* nobody waits any more */
void admission_wait(struct admission *a, struct ticket *t);
void admission_leave(struct admission *a, struct ticket *t); /* also when he does not wait */
/** Whose turn it is now; he waits no more, and has a place until admission_release(). NULL: nobody's. */
struct ticket *admission_next(struct admission *a, int64_t now_ms);
/** Takes one who waits out, whose turn will not come. NULL: nobody waits. */
struct ticket *admission_refuse(struct admission *a);
void admission_release(struct admission *a);
/** The authority wants no request before this moment. */
void admission_pause(struct admission *a, int64_t until_ms);
/** When admission_next() may have somebody again without a release; -1: nobody waits, or all places are taken. */
int64_t admission_next_at_ms(const struct admission *a, int64_t now_ms);
size_t admission_waiting(const struct admission *a);
size_t admission_running(const struct admission *a);
#endif
