/* sds/index.c - what this worker serves by entry, who waits for it, and what is known to be absent. An absence that
 * nobody is interested in is kept for a while, bounded: an unknown name that is asked for again and again stays cheap,
 * and state does not grow with the names that a peer invents. */
#include <string.h>
#include "base/mem.h"
#include "control/identity.h"
#include "sds/internal.h"

static struct slot *slot_find_or_add(struct worker *w, const unsigned char *key, size_t len)
{
	struct slot *s = NULL;
	HASH_FIND(hh, w->slots, key, len, s);
	if (s)
		return s;
	s = mem_new(struct slot);
	s->key = mem_dup(key, len);
	s->key_len = len;
	HASH_ADD_KEYPTR(hh, w->slots, s->key, len, s);
	return s;
}

struct slot *slot_for_entry(struct worker *w, const struct entry_key *e)
{
	struct buf key = BUF_INIT;
	size_t len;
	const void *bytes = entry_key_bytes(e, &len);
	buf_add(&key, "e", 1);
	buf_add(&key, bytes, len);
	struct slot *s = slot_find_or_add(w, key.data, key.len);
	buf_free(&key);
	return s;
}

struct slot *slot_for_denial(struct worker *w, const struct identity *i, const char *name)
{
	struct buf key = BUF_INIT;
	buf_printf(&key, "d%s\x1f%s", identity_key(i), name);
	struct slot *s = slot_find_or_add(w, key.data, key.len);
	buf_free(&key);
	return s;
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
	free(s->key);
	free(s);
}

/* A slot that nobody is interested in stays while it has a version; as an absence it moves to the bounded list. */
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

void slot_join(struct worker *w, struct slot *s, struct interest *i)
{
	leave_idle(w, s);
	i->slot = s;
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

static void mark_all(struct slot *s)
{
	struct interest *i;
	DL_FOREACH2(s->interests, i, slot_next)
	stream_interest_changed(i);
}

bool slot_publish(struct worker *w, struct slot *s, struct version *v, uint64_t seq)
{
	if (seq < s->seq) { /* design: invariant 1 */
		version_unref(v);
		return false;
	}
	s->seq = seq;
	s->absent = false;
	version_unref(s->version);
	s->version = v;
	settle(w, s);
	mark_all(s);
	return true;
}

bool slot_set_absent(struct worker *w, struct slot *s, uint64_t seq)
{
	if (seq < s->seq) {
		settle(w, s);
		return false;
	}
	s->seq = seq;
	s->absent = true;
	version_unref(s->version);
	s->version = NULL;
	mark_all(s);
	settle(w, s);
	return true;
}

void slots_forget_denials(struct worker *w)
{
	struct slot *s, *next;
	HASH_ITER (hh, w->slots, s, next) {
		if (s->key[0] != 'd')
			continue;
		s->absent = false;
		leave_idle(w, s);
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
