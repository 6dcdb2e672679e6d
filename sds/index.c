/* sds/index.c - what this worker serves by entry, who waits for it, and what is known to be absent.
 * An absence belongs to an identity and a name, not to an entry: what control said to one caller must not make the
 * answer to another one quicker, or the time would tell unknown from denied (design: invariant 2). An absence that
 * nobody waits for is kept for a while, bounded: a name that is asked for again and again stays cheap, and state does
 * not grow with the names that a peer invents. */
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "control/identity.h"
#include "sds/internal.h"

static struct slot *slot_find(struct worker *w, const struct buf *key)
{
	struct slot *s = NULL;
	HASH_FIND(hh, w->slots, key->data, key->len, s);
	return s;
}

static struct slot *slot_find_or_add(struct worker *w, const struct buf *key)
{
	struct slot *s = slot_find(w, key);
	if (s)
		return s;
	s = mem_new(struct slot);
	s->key = mem_dup(key->data, key->len);
	s->key_len = key->len;
	HASH_ADD_KEYPTR(hh, w->slots, s->key, s->key_len, s);
	return s;
}

static struct buf entry_slot_key(const struct entry_key *e)
{
	struct buf key = BUF_INIT;
	size_t len;
	const void *bytes = entry_key_bytes(e, &len);
	buf_add(&key, "e", 1);
	buf_add(&key, bytes, len);
	return key;
}

static struct buf absence_key(const struct identity *i, const char *name)
{
	struct buf key = BUF_INIT;
	buf_printf(&key, "a%s\x1f%s", identity_key(i), name);
	return key;
}

struct slot *slot_for_entry(struct worker *w, const struct entry_key *e)
{
	AUTO(buf_free) struct buf key = entry_slot_key(e);
	return slot_find_or_add(w, &key);
}

struct slot *slot_find_entry(struct worker *w, const struct entry_key *e)
{
	AUTO(buf_free) struct buf key = entry_slot_key(e);
	return slot_find(w, &key);
}

struct slot *slot_for_absence(struct worker *w, const struct identity *i, const char *name)
{
	AUTO(buf_free) struct buf key = absence_key(i, name);
	return slot_find_or_add(w, &key);
}

bool absence_is_known(struct worker *w, const struct identity *i, const char *name)
{
	AUTO(buf_free) struct buf key = absence_key(i, name);
	const struct slot *s = slot_find(w, &key);
	return s && s->absent;
}

static void leave_idle(struct worker *w, struct slot *s)
{
	if (!s->is_idle)
		return;
	DL_DELETE(w->idle, s);
	w->idle_count--;
	s->is_idle = false;
}

static void slot_free(struct worker *w, struct slot *s)
{
	leave_idle(w, s);
	HASH_DEL(w->slots, s);
	version_unref(s->version);
	version_unref(s->previous);
	free(s->key);
	free(s);
}

/* A slot that nobody waits at stays while it has a version; an absence stays among a bounded number. */
static void settle(struct worker *w, struct slot *s)
{
	if (s->interests || s->version) {
		leave_idle(w, s);
		return;
	}
	if (!s->absent) {
		slot_free(w, s);
		return;
	}
	if (s->is_idle)
		return;
	if (w->idle_count >= IDLE_ABSENCES_MAX)
		slot_free(w, w->idle);
	DL_APPEND(w->idle, s);
	w->idle_count++;
	s->is_idle = true;
}

void slot_join(struct slot *s, struct interest *i)
{
	i->slot = s;
	leave_idle(i->call->worker, s);
	DL_APPEND2(s->interests, i, slot_prev, slot_next);
}

void slot_leave(struct worker *w, struct interest *i)
{
	struct slot *s = i->slot;
	if (!s)
		return;
	DL_DELETE2(s->interests, i, slot_prev, slot_next);
	i->slot = NULL;
	settle(w, s);
}

void slot_mark(struct slot *s)
{
	struct interest *i;
	DL_FOREACH2(s->interests, i, slot_next)
	stream_interest_changed(i);
}

static void drop_if(struct version **v, const char *id)
{
	if (*v && strcmp(version_id(*v), id) == 0)
		version_unrefp(v);
}

/* Also what is under way to a stream and not answered yet: its ACK would make it what a NACK falls back to. */
static void forget_content(struct slot *s, const char *id)
{
	struct interest *i;
	drop_if(&s->previous, id);
	DL_FOREACH2(s->interests, i, slot_next)
	{
		drop_if(&i->offered, id);
		drop_if(&i->held, id);
	}
}

/* What takes its place comes first; but where a still newer one has taken that one's place in the mailbox, this is
 * current for a moment. */
void slot_revoke(struct slot *s, const char *id)
{
	if (s->version && strcmp(version_id(s->version), id) == 0)
		s->current_is_revoked = true;
	else
		forget_content(s, id);
}

void slot_publish(struct worker *w, struct slot *s, struct version *v, uint64_t seq)
{
	bool same = s->version && strcmp(version_id(s->version), version_id(v)) == 0;
	if (seq < s->seq || same) { /* control answers every want: most often with what is known */
		s->seq = seq > s->seq ? seq : s->seq;
		version_unref(v);
		return;
	}
	s->seq = seq;
	struct version *former = s->version;
	s->version = v;
	if (s->current_is_revoked) {
		s->current_is_revoked = false;
		forget_content(s, version_id(former));
		version_unref(former);
	} else {
		version_unref(s->previous);
		s->previous = former;
	}
	leave_idle(w, s);
	slot_mark(s);
}

static void drop_versions(struct slot *s)
{
	version_unrefp(&s->version);
	version_unrefp(&s->previous);
	s->current_is_revoked = false;
}

void slot_forget(struct worker *w, struct slot *s, uint64_t seq)
{
	if (seq >= s->seq) {
		s->seq = seq;
		drop_versions(s);
		slot_mark(s);
	}
	settle(w, s);
}

static void know_absence(struct worker *w, struct interest *i)
{
	struct slot *a = slot_for_absence(w, i->identity, i->name);
	i->absent = true;
	a->absent = true;
	settle(w, a);
}

void slot_empty(struct worker *w, struct slot *s, uint64_t seq)
{
	struct interest *i;
	if (seq >= s->seq) {
		s->seq = seq;
		drop_versions(s);
		DL_FOREACH2(s->interests, i, slot_next)
		know_absence(w, i);
		slot_mark(s);
	}
	settle(w, s);
}

void absence_set(struct worker *w, struct slot *s, uint64_t seq)
{
	struct interest *i;
	if (seq >= s->seq) {
		s->seq = seq;
		s->absent = true;
		DL_FOREACH2(s->interests, i, slot_next)
		i->absent = true;
		slot_mark(s);
	}
	settle(w, s);
}

/* Interests forget when they are asked next: their generation is another one then. */
void absences_forget(struct worker *w)
{
	struct slot *s, *next;
	HASH_ITER (hh, w->slots, s, next) {
		s->absent = false;
		settle(w, s);
	}
}

void slots_free(struct worker *w)
{
	while (w->slots) {
		invariant(!w->slots->interests);
		slot_free(w, w->slots);
	}
}
