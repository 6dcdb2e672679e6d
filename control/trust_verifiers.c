/* control/trust_verifiers.c - who should hold an anchor: every stream that subscribes to a bundle with it, and every
 * node that did and went away lately. Bounded; in memory alone: after a restart proxies are given time to come back
 * instead (trust.c). Not its duty: what follows from it (trust_hold.c). */
#include "base/log.h"
#include "base/mem.h"
#include "cache/description.h"
#include "control/identity.h"
#include "control/internal.h"

enum { ABSENT_MAX = 16384 };

static char *absent_key(const struct subscriber *s)
{
	return mem_printf(
		"%s\x1f%s\x1f%s", identity_key(s->identity), s->node ? s->node->id : "", entry_key_text(s->entry->key));
}

static void absent_end(struct control *c, struct absent *a)
{
	HASH_DELETE(hh, c->absent, a);
	shares_remove(&c->absent_shares, &a->share);
	version_unref(a->held);
	entry_key_unref(a->bundle);
	free(a->identity);
	free(a->node);
	free(a->key);
	free(a);
}

static bool is_bundle(const struct entry *e)
{
	return e->def && e->def->kind == SECRET_VALIDATION_CONTEXT;
}

void verifier_joined(struct control *c, const struct subscriber *s)
{
	AUTO(mem_freep) char *key = absent_key(s);
	struct absent *a = NULL;
	HASH_FIND_STR(c->absent, key, a);
	if (a)
		absent_end(c, a);
}

void verifier_acked(struct subscriber *s)
{
	struct entry *e = s->entry;
	if (!is_bundle(e) || !e->current || strcmp(version_id(e->current), s->acked) != 0)
		return;
	version_unref(s->held);
	s->held = version_ref(e->current);
}

static void make_room(struct control *c)
{
	uint64_t unsaid;
	if (HASH_COUNT(c->absent) < ABSENT_MAX)
		return;
	if (quiet_passes(&c->absent_full, control_mono_ms(c), &unsaid))
		log_event(LOG_WARN, "trust.absent_full", LI("remembered", ABSENT_MAX),
			LS("effect", "of the identity with most of them, who went away first is not waited for when "
				     "trust changes"),
			LI("unsaid", unsaid));
	absent_end(c, container_of(shares_victim(&c->absent_shares), struct absent, share));
}

/* The end of a stream is an absence; what it held goes with the memory of it. */
void verifier_left(struct control *c, struct subscriber *s, bool stream_ended)
{
	struct version *held = TAKE(s->held);
	if (!stream_ended || !is_bundle(s->entry) || c->closing) {
		version_unref(held);
		return;
	}
	AUTO(mem_freep) char *key = absent_key(s);
	struct absent *a = NULL;
	HASH_FIND_STR(c->absent, key, a);
	if (a)
		absent_end(c, a);
	make_room(c);
	a = mem_new(struct absent);
	a->key = TAKE(key);
	a->identity = mem_strdup(identity_text(s->identity));
	a->node = mem_strdup(s->node ? s->node->id : "");
	a->bundle = entry_key_ref(s->entry->key);
	a->held = held;
	a->left_ms = control_now_ms(c);
	HASH_ADD_KEYPTR(hh, c->absent, a->key, strlen(a->key), a);
	shares_add(&c->absent_shares, identity_key(s->identity), &a->share);
}

void verifiers_sweep(struct control *c, int64_t keep_ms, int64_t now_ms)
{
	struct absent *a, *next;
	HASH_ITER (hh, c->absent, a, next)
		if (now_ms - a->left_ms >= keep_ms)
			absent_end(c, a);
}

void verifiers_free(struct control *c)
{
	struct absent *a, *next;
	HASH_ITER (hh, c->absent, a, next)
		absent_end(c, a);
}

static bool holds(const struct version *bundle, const char *sha256)
{
	const struct description *d = bundle ? version_description(bundle) : NULL;
	for (size_t i = 0; d && i < d->count; i++)
		if (strcmp(d->certs[i].sha256, sha256) == 0)
			return true;
	return false;
}

static bool covers(const struct entry *e, const char *authority)
{
	return e && is_bundle(e) && definitions_bundle_has(e->control->definitions, e->def, authority);
}

size_t verifiers_of(struct control *c, const char *authority, const char *sha256, struct trust_verifier **ret)
{
	size_t count = 0, room = HASH_COUNT(c->absent);
	for (const struct entry *e = c->entries; e; e = e->hh.next)
		room += covers(e, authority) ? e->subscriber_count : 0;
	struct trust_verifier *list = mem_array(struct trust_verifier, room + 1);
	for (const struct entry *e = c->entries; e; e = e->hh.next) {
		if (!covers(e, authority))
			continue;
		for (const struct subscriber *s = e->subscribers; s; s = s->next) {
			if (c->absent) /* one stream of it went, another is here */
				verifier_joined(c, s);
			list[count++] = (struct trust_verifier){.node = s->node ? s->node->id : "",
				.identity = identity_text(s->identity),
				.bundle = entry_key_text(e->key),
				.connected = true,
				.holds = holds(s->held, sha256),
				.refused = s->nacked_at_ms > s->acked_at_ms || (s->nacked_at_ms && !s->acked_at_ms),
				.since_ms = s->since_ms,
				.acked_ms = s->acked_at_ms};
		}
	}
	for (const struct absent *a = c->absent; a; a = a->hh.next)
		if (covers(entry_find(c, a->bundle), authority))
			list[count++] = (struct trust_verifier){.node = a->node,
				.identity = a->identity,
				.bundle = entry_key_text(a->bundle),
				.holds = holds(a->held, sha256),
				.since_ms = a->left_ms};
	*ret = list;
	return count;
}
