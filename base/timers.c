#include "base/timers.h"
#include <stdbool.h>
#include <string.h>
#include "base/mem.h"

void timers_init(struct timers *t)
{
	memset(t, 0, sizeof *t);
	t->running_at_ms = INT64_MIN;
}

void timers_done(struct timers *t)
{
	for (size_t i = 1; i <= t->count; i++)
		t->heap[i]->place = 0;
	free(t->heap);
	timers_init(t);
}

static bool before(const struct timers_entry *a, const struct timers_entry *b)
{
	return a->at_ms < b->at_ms || (a->at_ms == b->at_ms && a->order < b->order);
}

static void put(struct timers *t, struct timers_entry *e, size_t place)
{
	t->heap[place] = e;
	e->place = place;
}

static void sift(struct timers *t, struct timers_entry *e, size_t place)
{
	while (place > 1 && before(e, t->heap[place / 2])) {
		put(t, t->heap[place / 2], place);
		place /= 2;
	}
	for (size_t child; (child = 2 * place) <= t->count; place = child) {
		if (child < t->count && before(t->heap[child + 1], t->heap[child]))
			child++;
		if (!before(t->heap[child], e))
			break;
		put(t, t->heap[child], place);
	}
	put(t, e, place);
}

void timers_clear(struct timers *t, struct timers_entry *e)
{
	size_t place = e->place;
	if (!place)
		return;
	struct timers_entry *last = t->heap[t->count--];
	e->place = 0;
	if (last != e)
		sift(t, last, place);
}

void timers_set(struct timers *t, struct timers_entry *e, int64_t at_ms)
{
	timers_clear(t, e);
	/* Set while others fire, it stands behind all that are due: it neither fires now nor keeps them from it. */
	e->at_ms = at_ms < t->running_at_ms ? t->running_at_ms : at_ms;
	e->order = t->order++;
	if (t->count + 2 > t->cap) {
		t->cap = t->cap ? 2 * t->cap : 64;
		t->heap = mem_realloc(t->heap, t->cap * sizeof(struct timers_entry *));
	}
	t->count++;
	sift(t, e, t->count);
}

int64_t timers_next_ms(const struct timers *t)
{
	return t->count ? t->heap[1]->at_ms : INT64_MAX;
}

void timers_run(struct timers *t, int64_t now_ms)
{
	uint64_t newest = t->order;
	t->running_at_ms = now_ms;
	while (t->count && t->heap[1]->at_ms <= now_ms && t->heap[1]->order < newest) {
		struct timers_entry *e = t->heap[1];
		timers_clear(t, e);
		e->fire(e);
	}
	t->running_at_ms = INT64_MIN;
}
