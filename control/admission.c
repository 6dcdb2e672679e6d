#include "control/admission.h"
#include "base/mem.h"

/* A token in the bucket's own small change: what one ms adds at one a second. */
#define TOKEN 1000
/* After this time any bucket is full: it holds what one second brings. */
#define FULL_AFTER_MS 1000

struct admission {
	struct ticket **heap; /* from 1: the most urgent is heap[1] */
	size_t count, room;
	unsigned in_flight, per_second, running;
	uint64_t numbers;
	int64_t pause_until_ms;
	int64_t tokens, filled_at_ms;
};

struct admission *admission_new(unsigned in_flight, unsigned per_second)
{
	struct admission *a = mem_new(struct admission);
	a->in_flight = in_flight;
	a->per_second = per_second;
	a->tokens = (int64_t)per_second * TOKEN;
	a->filled_at_ms = INT64_MIN;
	return a;
}

void admission_free(struct admission *a)
{
	if (!a)
		return;
	invariant(a->count == 0);
	free(a->heap);
	free(a);
}

/* --- the heap --- */

static bool is_before(const struct ticket *a, const struct ticket *b)
{
	if (a->ends_ms != b->ends_ms)
		return a->ends_ms < b->ends_ms;
	if (a->waiters != b->waiters)
		return a->waiters > b->waiters;
	return a->number < b->number;
}

static void put(struct admission *a, size_t at, struct ticket *t)
{
	a->heap[at] = t;
	t->place = at;
}

static void rise(struct admission *a, struct ticket *t)
{
	size_t at = t->place;
	for (; at > 1 && is_before(t, a->heap[at / 2]); at /= 2)
		put(a, at, a->heap[at / 2]);
	put(a, at, t);
}

static void sink(struct admission *a, struct ticket *t)
{
	size_t at = t->place;
	for (size_t child; (child = 2 * at) <= a->count; at = child) {
		if (child < a->count && is_before(a->heap[child + 1], a->heap[child]))
			child++;
		if (!is_before(a->heap[child], t))
			break;
		put(a, at, a->heap[child]);
	}
	put(a, at, t);
}

void admission_wait(struct admission *a, struct ticket *t)
{
	invariant(!t->place);
	if (a->count + 1 >= a->room) {
		a->room = a->room ? 2 * a->room : 16;
		a->heap = mem_realloc(a->heap, a->room * sizeof *a->heap);
	}
	t->number = a->numbers++;
	put(a, ++a->count, t);
	rise(a, t);
}

void admission_leave(struct admission *a, struct ticket *t)
{
	if (!t->place)
		return;
	struct ticket *last = a->heap[a->count--];
	if (last != t) {
		put(a, t->place, last);
		rise(a, last);
		sink(a, last);
	}
	t->place = 0;
}

/* --- the bucket --- */

static void fill(struct admission *a, int64_t now_ms)
{
	int64_t most = (int64_t)a->per_second * TOKEN;
	int64_t passed = a->filled_at_ms == INT64_MIN ? 0 : now_ms - a->filled_at_ms;
	a->filled_at_ms = now_ms;
	if (passed <= 0)
		return;
	a->tokens = passed >= FULL_AFTER_MS || a->tokens + passed * a->per_second > most
			    ? most
			    : a->tokens + passed * a->per_second;
}

struct ticket *admission_next(struct admission *a, int64_t now_ms)
{
	fill(a, now_ms);
	if (!a->count || a->running >= a->in_flight || now_ms < a->pause_until_ms)
		return NULL;
	if (a->per_second && a->tokens < TOKEN)
		return NULL;
	struct ticket *t = a->heap[1];
	admission_leave(a, t);
	a->running++;
	a->tokens -= a->per_second ? TOKEN : 0;
	return t;
}

struct ticket *admission_refuse(struct admission *a)
{
	struct ticket *t = a->count ? a->heap[1] : NULL;
	if (t)
		admission_leave(a, t);
	return t;
}

void admission_release(struct admission *a)
{
	invariant(a->running > 0);
	a->running--;
}

void admission_pause(struct admission *a, int64_t until_ms)
{
	if (until_ms > a->pause_until_ms)
		a->pause_until_ms = until_ms;
}

int64_t admission_next_at_ms(const struct admission *a, int64_t now_ms)
{
	if (!a->count || a->running >= a->in_flight)
		return -1;
	int64_t at = a->pause_until_ms > now_ms ? a->pause_until_ms : now_ms;
	if (a->per_second && a->tokens < TOKEN) {
		int64_t wait = (TOKEN - a->tokens + a->per_second - 1) / a->per_second;
		int64_t full = a->filled_at_ms + wait;
		at = full > at ? full : at;
	}
	return at;
}

size_t admission_waiting(const struct admission *a)
{
	return a->count;
}

size_t admission_running(const struct admission *a)
{
	return a->running;
}
