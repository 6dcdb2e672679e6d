#include "control/hook_queue.h"
#include <string.h>
#include "base/mem.h"
#include "base/table.h"
#include "control/hook_facts.h"

struct hook_item {
	UT_hash_handle hh; /* hook_queue.table, by key */
	char *key;
	struct hook_item *prev, *next; /* oldest first */
	struct hook_facts *facts;
};

static struct hook_facts *take_out(struct hook_queue *q, struct hook_item *i)
{
	struct hook_facts *f = i->facts;
	HASH_DELETE(hh, q->table, i);
	DL_DELETE(q->list, i);
	q->count--;
	free(i->key);
	free(i);
	return f;
}

static char *key_of(enum hook_event event, const char *entry)
{
	return mem_printf("%d %s", (int)event, entry);
}

static struct hook_item *find(struct hook_queue *q, enum hook_event event, const char *entry)
{
	AUTO(mem_freep) char *key = key_of(event, entry);
	struct hook_item *i = NULL;
	HASH_FIND(hh, q->table, key, strlen(key), i);
	return i;
}

static void end_others(struct hook_queue *q, const char *entry)
{
	static const enum hook_event over[] = {HOOK_FAILED, HOOK_EXPIRING};
	for (size_t k = 0; k < ARRAY_LEN(over); k++) {
		struct hook_item *i = find(q, over[k], entry);
		if (i)
			hook_facts_free(take_out(q, i));
	}
}

bool hook_queue_put(struct hook_queue *q, struct hook_facts *f)
{
	if (f->event == HOOK_ROTATED)
		end_others(q, f->entry);
	struct hook_item *i = find(q, f->event, f->entry);
	if (i) {
		f->events += i->facts->events;
		hook_facts_free(i->facts);
		i->facts = f;
		return true;
	}
	if (q->count >= (q->max ? q->max : HOOK_QUEUE_MAX)) {
		q->missed++;
		hook_facts_free(f);
		return false;
	}
	i = mem_new(struct hook_item);
	i->key = key_of(f->event, f->entry);
	i->facts = f;
	HASH_ADD_KEYPTR(hh, q->table, i->key, strlen(i->key), i);
	DL_APPEND(q->list, i);
	q->count++;
	return true;
}

struct hook_facts *hook_queue_take(struct hook_queue *q)
{
	return q->list ? take_out(q, q->list) : NULL;
}

size_t hook_queue_clear(struct hook_queue *q)
{
	size_t count = q->count;
	while (q->list)
		hook_facts_free(take_out(q, q->list));
	return count;
}
