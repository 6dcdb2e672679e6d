/* control/inventory.c - every version of every entry: what the store holds, beside who is served and who has ACKed. */
#include "base/fault.h"
#include "base/mem.h"
#include "control/internal.h"

struct inventory {
	struct control *control;
	void (*fn)(void *arg, const struct control_item *item);
	void (*done)(void *arg, struct fault *f);
	void *arg;
};

static void count_holders(const struct entry *e, struct control_item *item)
{
	for (const struct subscriber *s = e->subscribers; s; s = s->next) {
		if (strcmp(s->acked, item->id) != 0)
			continue;
		item->holders++;
		if (s->acked_at_ms > item->last_ack_at_ms)
			item->last_ack_at_ms = s->acked_at_ms;
	}
}

static void add_use(const struct entry *e, struct control_item *item)
{
	item->is_current = e->current && strcmp(version_id(e->current), item->id) == 0;
	item->pinned = item->is_current && e->pinned;
	item->subscribers = item->is_current ? e->subscriber_count : 0;
	count_holders(e, item);
}

static void show_stored(const struct inventory *i, const struct store_listed *l)
{
	struct control_item item = {.entry = l->entry ? entry_key_text(l->entry) : "",
		.name = l->entry ? entry_key_name(l->entry) : "",
		.id = l->id ? l->id : "",
		.authority = l->origin.authority,
		.profile = l->origin.profile,
		.kind = l->kind,
		.description = l->description,
		.damage = l->damage,
		.received_at_ms = l->origin.received_at_ms,
		.stored_at_ms = l->put_at_ms};
	const struct entry *e = l->entry ? entry_find(i->control, l->entry) : NULL;
	if (e)
		add_use(e, &item);
	i->fn(i->arg, &item);
}

/* What the store could not take. */
static void show_memory_only(const struct inventory *i, const struct entry *e)
{
	struct control_item item = {.entry = entry_key_text(e->key),
		.name = entry_key_name(e->key),
		.id = version_id(e->current),
		.authority = version_authority(e->current),
		.profile = version_profile(e->current),
		.kind = e->kind,
		.description = version_description(e->current),
		.received_at_ms = version_received_at_ms(e->current)};
	add_use(e, &item);
	i->fn(i->arg, &item);
}

static void on_listed(void *arg, struct fault *f, const struct store_inventory *list)
{
	struct inventory *i = arg;
	for (size_t k = 0; !f && k < list->count; k++)
		show_stored(i, &list->versions[k]);
	for (const struct entry *e = f ? NULL : i->control->entries; e; e = e->hh.next)
		if (e->memory_only && e->current)
			show_memory_only(i, e);
	i->done(i->arg, f);
	free(i);
}

void control_inventory(struct control *c, void (*fn)(void *arg, const struct control_item *item),
	void (*done)(void *arg, struct fault *f), void *arg)
{
	if (c->closing) {
		done(arg, fault_new(FAULT_UNAVAILABLE, "leafcast is stopping"));
		return;
	}
	struct inventory *i = mem_new(struct inventory);
	*i = (struct inventory){c, fn, done, arg};
	store_list(c->o.store, on_listed, i);
}
