/* control/subscribers.c - who subscribes to what, as workers reported it. */
#include "base/mem.h"
#include "control/identity.h"
#include "control/internal.h"

static struct subscriber_id id_of(unsigned worker, const struct report *r)
{
	return (struct subscriber_id){worker, r->subscription};
}

struct subscriber *subscriber_find(struct control *c, unsigned worker, const struct report *r)
{
	struct subscriber_id id = id_of(worker, r);
	struct subscriber *s = NULL;
	HASH_FIND(hh, c->subscribers, &id, sizeof id, s);
	return s;
}

static void leave_entry(struct subscriber *s, bool stream_ended)
{
	verifier_left(s->entry->control, s, stream_ended);
	DL_DELETE(s->entry->subscribers, s);
	s->entry->subscriber_count--;
	entry_drop_if_idle(s->entry);
	s->entry = NULL;
}

static void join_entry(struct subscriber *s, struct entry *e)
{
	s->entry = e;
	DL_APPEND(e->subscribers, s);
	e->subscriber_count++;
}

struct subscriber *subscriber_note(struct control *c, unsigned worker, const struct report *r, struct entry *e)
{
	struct subscriber *s = subscriber_find(c, worker, r);
	if (!s) {
		s = mem_new(struct subscriber);
		s->id = id_of(worker, r);
		s->identity = identity_ref(r->identity);
		s->node = node_ref(r->node);
		s->delta = r->delta;
		s->since_ms = control_now_ms(c);
		HASH_ADD(hh, c->subscribers, id, sizeof s->id, s);
		join_entry(s, e);
	} else if (s->entry != e) { /* the template changed by a reload */
		leave_entry(s, false);
		join_entry(s, e);
	}
	e->wanted_at_ms = control_now_ms(c);
	if (c->absent)
		verifier_joined(c, s);
	return s;
}

void subscriber_gone(struct control *c, struct subscriber *s)
{
	HASH_DELETE(hh, c->subscribers, s);
	s->entry->wanted_at_ms = control_now_ms(c);
	leave_entry(s, true);
	identity_unref(s->identity);
	node_unref(s->node);
	free(s->nack_text);
	free(s);
}
