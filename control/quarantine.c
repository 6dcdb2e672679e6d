/* control/quarantine.c - versions that a node NACKed (design.md, section 1): every worker is told not to push them to
 * that node while it still holds an older valid one. It ends with a newer version, with `retry`, or when the version
 * expires; and once by itself: Envoy NACKs a good bundle because of a bad certificate beside it, so when the node takes
 * that neighbour, what it refused beside it is offered once more.
 * Bounded, and shared fairly by the identities. Keeping it is quarantine_save.c's, judging it quarantine_verdict.c's.
 */
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "cache/canonical.h"
#include "control/identity.h"
#include "control/quarantine.h"

/* Each part with its length: a node.id may hold any character. */
static struct buf key_of(const char *identity, const char *node, const struct entry_key *e, const char *version)
{
	struct buf key = BUF_INIT;
	size_t len;
	const void *entry = entry_key_bytes(e, &len);
	canonical_add_text(&key, identity);
	canonical_add_text(&key, node);
	canonical_add(&key, entry, len);
	canonical_add_text(&key, version);
	return key;
}

struct quarantined *quarantine_find(
	const struct control *c, const char *identity, const char *node, const struct entry *e, const char *version)
{
	struct quarantined *q = NULL;
	if (!c->quarantine)
		return NULL;
	AUTO(buf_free) struct buf key = key_of(identity, node, e->key, version);
	HASH_FIND(hh, c->quarantine, key.data, key.len, q);
	return q;
}

static const char *node_of(const struct report *r)
{
	return r->node ? r->node->id : "";
}

static struct quarantined *find_report(
	const struct control *c, const struct report *r, const struct entry *e, const char *version)
{
	return quarantine_find(c, identity_key(r->identity), node_of(r), e, version);
}

/* --- what workers hear --- */

static void add_older(const struct entry *e, const char *version, struct outlet_quarantine *o)
{
	for (size_t i = e->past_count; i > 0 && o->older_count < OUTLET_OLDER_MAX; i--) {
		const struct past_version *p = &e->past[i - 1];
		struct outlet_older *to = &o->older[o->older_count];
		if (strcmp(p->id, version) == 0 || version_is_revoked(e, p->id))
			continue;
		(void)snprintf(to->id, sizeof to->id, "%s", p->id);
		to->not_after_ms = p->not_after_ms;
		o->older_count++;
	}
}

static void tell_workers(struct control *c, const struct quarantined *q, bool on, bool forgive)
{
	if (!c->outlet)
		return;
	struct outlet_quarantine o = {.identity = q->identity,
		.node_id = q->node,
		.entry = q->entry_key,
		.version_id = q->version,
		.on = on,
		.forgive = forgive};
	if (on) {
		add_older(q->entry, q->version, &o);
		o.fallback = q->entry->previous;
	}
	c->outlet->quarantine(c->outlet->arg, &o, control_next_seq(c));
}

static bool is_held_back(const struct quarantined *q)
{
	return q->chance != STORE_CHANCE_GIVEN;
}

void quarantine_publish(struct entry *e)
{
	struct quarantined *q;
	DL_FOREACH2(e->quarantined, q, entry_next)
	{
		if (is_held_back(q))
			tell_workers(e->control, q, true, false);
	}
}

/* --- the table --- */

void quarantined_free(struct quarantined *q)
{
	entry_key_unref(q->entry_key);
	entry_key_unref(q->neighbour);
	free(q->key);
	free(q->identity);
	free(q->who);
	free(q->node);
	free(q->message);
	free(q);
}

static struct quarantined *add(
	struct entry *e, const char *identity, const char *who, const char *node, int64_t since_ms)
{
	struct control *c = e->control;
	struct quarantined *q = mem_new(struct quarantined);
	const char *version = version_id(e->current);
	AUTO(buf_free) struct buf key = key_of(identity, node, e->key, version);
	q->key = mem_dup(key.data, key.len);
	q->key_len = key.len;
	q->entry = e;
	q->entry_key = entry_key_ref(e->key);
	q->identity = mem_strdup(identity);
	q->who = mem_strdup(who);
	q->node = mem_strdup(node);
	q->message = mem_strdup("");
	(void)snprintf(q->version, sizeof q->version, "%s", version);
	q->since_ms = since_ms;
	HASH_ADD_KEYPTR(hh, c->quarantine, q->key, q->key_len, q);
	shares_add(&c->quarantine_shares, q->identity, &q->share);
	DL_APPEND2(e->quarantined, q, entry_prev, entry_next);
	return q;
}

static void replan_hastened(struct entry *e)
{
	const struct quarantined *q;
	int64_t at = 0;
	DL_FOREACH2(e->quarantined, q, entry_next)
	{
		int64_t wish = quarantined_hasten_at_ms(q);
		if (wish && is_held_back(q) && (!at || wish < at))
			at = wish;
	}
	e->hasten_at_ms = at;
}

/* Out of everything but the store, from where quarantine_save() takes it. */
static void end(struct quarantined *q, enum quarantine_event why)
{
	struct control *c = q->entry->control;
	bool forgive = why == QUARANTINE_RETRIED || why == QUARANTINE_HEALED;
	if (is_held_back(q))
		tell_workers(c, q, false, forgive);
	meters_quarantine(c, why);
	HASH_DELETE(hh, c->quarantine, q);
	shares_remove(&c->quarantine_shares, &q->share);
	DL_DELETE2(q->entry->quarantined, q, entry_prev, entry_next);
	c->neighbours -= q->neighbour != NULL;
	q->entry = NULL;
	quarantine_unsave(c, q);
}

static void make_room(struct control *c)
{
	if (HASH_COUNT(c->quarantine) < QUARANTINE_MAX)
		return;
	struct quarantined *q = container_of(shares_victim(&c->quarantine_shares), struct quarantined, share);
	struct entry *e = q->entry;
	end(q, QUARANTINE_EVICTED);
	replan_hastened(e);
}

/* --- what the node holds instead --- */

static int64_t past_until(const struct entry *e, const char *version)
{
	for (size_t i = 0; i < e->past_count; i++)
		if (strcmp(e->past[i].id, version) == 0)
			return e->past[i].not_after_ms;
	return 0;
}

static struct hastened *find_hastened(struct entry *e, const char *held)
{
	for (size_t i = 0; i < e->hastened_count; i++)
		if (strcmp(e->hastened[i].held, held) == 0)
			return &e->hastened[i];
	return NULL;
}

static void remember_hastened(struct entry *e, const char *held, const char *version)
{
	if (find_hastened(e, held))
		return;
	if (e->hastened_count == ENTRY_PAST_MAX)
		memmove(&e->hastened[0], &e->hastened[1], --e->hastened_count * sizeof e->hastened[0]);
	struct hastened *h = &e->hastened[e->hastened_count++];
	(void)snprintf(h->held, sizeof h->held, "%s", held);
	(void)snprintf(h->version, sizeof h->version, "%s", version);
}

/* Once for each version that a node may be stuck with: a node that refuses everything must not make us issue without
 * end. */
static void decide_hastening(struct quarantined *q)
{
	struct entry *e = q->entry;
	const struct hastened *h = find_hastened(e, q->held);
	int64_t planned = rotation_renew_at_ms(e);
	if (h && strcmp(h->version, q->version) != 0) {
		q->hastens = STORE_HASTENED;
	} else if (h || (planned && q->held_until_ms < planned)) {
		q->hastens = STORE_HASTENS;
		remember_hastened(e, q->held, q->version);
	}
	replan_hastened(e);
}

/* True: that is news. */
static bool note_held(struct quarantined *q, const char *held, int64_t now_ms)
{
	int64_t until = past_until(q->entry, held);
	if (until <= now_ms || strcmp(held, q->version) == 0 || (*q->held && q->held_until_ms <= until))
		return false;
	(void)snprintf(q->held, sizeof q->held, "%s", held);
	q->held_until_ms = until;
	decide_hastening(q);
	return true;
}

void quarantine_note_held(struct control *c, const struct report *r, struct entry *e)
{
	if (!e->quarantined || !*r->held_version)
		return;
	struct quarantined *q = find_report(c, r, e, version_id(e->current));
	if (!q || !note_held(q, r->held_version, control_now_ms(c)))
		return;
	quarantine_save(q);
	rotation_replan(e);
}

/* --- NACK and ACK --- */

/* What else the same node is refusing: Envoy may have meant that. */
static struct entry_key *neighbour_of(const struct control *c, const struct quarantined *q)
{
	for (struct share_link *l = shares_of(&c->quarantine_shares, q->identity); l; l = l->next) {
		const struct quarantined *other = container_of(l, struct quarantined, share);
		if (other->entry != q->entry && strcmp(other->node, q->node) == 0)
			return other->entry_key;
	}
	return NULL;
}

static struct quarantined *add_reported(struct control *c, const struct report *r, struct entry *e)
{
	make_room(c);
	struct quarantined *q =
		add(e, identity_key(r->identity), identity_text(r->identity), node_of(r), control_now_ms(c));
	struct entry_key *neighbour = neighbour_of(c, q);
	if (neighbour) {
		q->neighbour = entry_key_ref(neighbour);
		c->neighbours++;
	}
	return q;
}

bool quarantine_note(struct control *c, const struct report *r, struct entry *e)
{
	if (!e->current || strcmp(version_id(e->current), r->nacked_version) != 0)
		return false; /* a newer version is served already, or what was offered in its place was refused, too */
	struct quarantined *q = find_report(c, r, e, r->nacked_version);
	bool was_held = q && is_held_back(q), is_new = !q;
	if (is_new)
		q = add_reported(c, r, e);
	else
		shares_touch(&q->share);
	if (q->chance == STORE_CHANCE_GIVEN)
		q->chance = STORE_CHANCE_WASTED;
	q->times++;
	q->code = r->nack_code;
	free(q->message);
	q->message = mem_strdup(r->nack_text ? r->nack_text : "");
	bool news = note_held(q, r->held_version, control_now_ms(c));
	if (was_held && !news)
		return true; /* nothing that a restart must know */
	if (!was_held) {
		meters_quarantine(c, QUARANTINE_HELD);
		tell_workers(c, q, true, false);
	}
	replan_hastened(e);
	quarantine_save(q);
	rotation_replan(e);
	return true;
}

/* The node takes what it refused before: what it refused beside it may have been good. */
static void give_chances(struct control *c, const struct report *r, const struct entry *e)
{
	struct share_link *l = c->neighbours ? shares_of(&c->quarantine_shares, identity_key(r->identity)) : NULL;
	for (; l; l = l->next) {
		struct quarantined *q = container_of(l, struct quarantined, share);
		if (!q->neighbour || q->chance != STORE_CHANCE_NONE || strcmp(q->node, node_of(r)) != 0 ||
			!entry_key_equal(q->neighbour, e->key))
			continue;
		q->chance = STORE_CHANCE_GIVEN;
		tell_workers(c, q, false, true);
		meters_quarantine(c, QUARANTINE_CHANCE);
		quarantine_save(q);
		replan_hastened(q->entry);
		log_event(LOG_INFO, "quarantine.tried_again", LS("secret", entry_key_text(q->entry_key)),
			LS("node", q->node), LS("version", q->version), LS("because_it_took", entry_key_text(e->key)));
	}
}

bool quarantine_judge_ack(struct control *c, const struct report *r, struct entry *e)
{
	if (!c->quarantine)
		return true;
	struct quarantined *q = find_report(c, r, e, r->acked_version);
	if (q && is_held_back(q))
		return false;
	if (q)
		end(q, QUARANTINE_HEALED);
	give_chances(c, r, e);
	return true;
}

bool quarantine_may_speak(struct control *c, const struct report *r, const struct entry *e, uint64_t *ret_unsaid)
{
	const struct quarantined *q = find_report(c, r, e, r->nacked_version);
	int64_t now = control_mono_ms(c);
	return q ? share_may_speak(&q->share, now, ret_unsaid) : quiet_passes(&c->stray_nacks, now, ret_unsaid);
}

/* --- ends --- */

void quarantine_end_entry(struct control *c, struct entry *e, const char *kept)
{
	struct quarantined *q, *next;
	(void)c;
	DL_FOREACH_SAFE2(e->quarantined, q, next, entry_next)
	{
		if (!kept || strcmp(q->version, kept) != 0)
			end(q, QUARANTINE_NEWER);
	}
	replan_hastened(e);
	e->judged_at_ms = 0;
	if (!e->quarantined)
		e->verdict = VERDICT_UNDECIDED;
}

static void end_expired(struct entry *e, int64_t now_ms)
{
	struct quarantined *q, *next;
	if (version_not_after_ms(e->current) > now_ms)
		return;
	DL_FOREACH_SAFE2(e->quarantined, q, next, entry_next)
	end(q, QUARANTINE_EXPIRED);
	replan_hastened(e);
}

void quarantine_sweep(struct control *c, int64_t now_ms)
{
	for (struct entry *e = c->quarantine ? c->entries : NULL; e; e = e->hh.next) {
		if (!e->quarantined)
			continue;
		end_expired(e, now_ms);
		quarantine_tell_verdict(e);
	}
	quarantine_save_again(c);
}

static bool bears(const struct entry *e, const char *name)
{
	return strcmp(entry_key_name(e->key), name) == 0 || strcmp(entry_key_text(e->key), name) == 0;
}

size_t quarantine_retry(struct control *c, const char *name, const char *node)
{
	struct quarantined *q, *next;
	size_t count = 0;
	HASH_ITER (hh, c->quarantine, q, next) {
		struct entry *e = q->entry;
		if (!bears(e, name) || (node && strcmp(q->node, node) != 0))
			continue;
		count++;
		end(q, QUARANTINE_RETRIED);
		replan_hastened(e);
	}
	return count;
}

/* --- life --- */

void quarantine_load(struct control *c, const struct store_quarantine *from, struct store_tx *drop)
{
	struct entry *e = entry_find(c, from->entry);
	int64_t now = control_now_ms(c);
	if (!e || !e->current || strcmp(version_id(e->current), from->version) != 0 ||
		version_not_after_ms(e->current) <= now || HASH_COUNT(c->quarantine) >= QUARANTINE_MAX) {
		store_tx_drop_quarantine(drop, from);
		return;
	}
	struct quarantined *q = add(e, from->identity, from->who, from->node, from->since_ms);
	free(q->message);
	q->message = mem_strdup(from->message);
	q->code = (int)from->code;
	q->chance = from->chance;
	q->times = 1;
	q->is_stored = true;
	if (from->neighbour) {
		q->neighbour = entry_key_ref(from->neighbour);
		c->neighbours++;
	}
	int64_t until = past_until(e, from->held);
	if (until > now) {
		(void)snprintf(q->held, sizeof q->held, "%s", from->held);
		q->held_until_ms = until;
		q->hastens = from->hastens;
	}
	if (q->hastens != STORE_HASTENS_NOT)
		remember_hastened(e, q->held, q->hastens == STORE_HASTENS ? q->version : "");
	replan_hastened(e);
}

void quarantine_free(struct control *c)
{
	struct quarantined *q, *next;
	HASH_ITER (hh, c->quarantine, q, next) {
		HASH_DELETE(hh, c->quarantine, q);
		shares_remove(&c->quarantine_shares, &q->share);
		DL_DELETE2(q->entry->quarantined, q, entry_prev, entry_next);
		quarantined_free(q);
	}
	quarantine_save_free(c);
}
