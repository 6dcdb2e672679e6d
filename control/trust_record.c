#include "control/trust_record.h"
#include <jansson.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/io/json_memory.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/text.h"
#include "cache/description.h"

/* The layout of a stored record; another number is from another leafcast. */
#define LAYOUT 1

struct item {
	struct trust_anchor anchor;
	struct anchors *alone; /* a set of it: holds the certificate and its facts */
};

struct trust_record {
	struct item *items;
	size_t count;
	struct anchors *all; /* NULL: none */
};

struct trust_record *trust_record_new(void)
{
	return mem_new(struct trust_record);
}

static void item_done(struct item *i)
{
	for (size_t n = 0; n < i->anchor.passed_count; n++) {
		free(i->anchor.passed[n].node);
		free(i->anchor.passed[n].identity);
		free(i->anchor.passed[n].by);
	}
	free(i->anchor.passed);
	anchors_unref(i->alone);
}

void trust_record_free(struct trust_record *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->count; i++)
		item_done(&r->items[i]);
	free(r->items);
	anchors_unref(r->all);
	free(r);
}

static struct fault *union_of(const struct item *items, size_t count, bool only_ready, struct anchors **ret)
{
	struct anchors **sets = mem_array(struct anchors *, count + 1);
	size_t n = 0;
	for (size_t i = 0; i < count; i++)
		if (!only_ready || items[i].anchor.ready_ms)
			sets[n++] = items[i].alone;
	*ret = NULL;
	struct fault *f = n ? anchors_union(sets, n, ret) : NULL;
	free(sets);
	return f;
}

/* Takes a reference of alone, a set of one. */
static void append(struct trust_record *r, struct anchors *alone)
{
	const struct cert_info *info = anchors_info(alone, 0);
	r->items = mem_realloc(r->items, (r->count + 1) * sizeof *r->items);
	struct item *i = &r->items[r->count++];
	memset(i, 0, sizeof *i);
	i->alone = anchors_ref(alone);
	i->anchor.cert = anchors_cert(alone, 0);
	i->anchor.info = info;
	i->anchor.sha256 = info->sha256;
	i->anchor.subject = info->subject;
}

static void drop(struct trust_record *r, size_t at)
{
	item_done(&r->items[at]);
	memmove(&r->items[at], &r->items[at + 1], (--r->count - at) * sizeof *r->items);
}

static struct fault *renew_union(struct trust_record *r)
{
	struct anchors *all = NULL;
	TRY(union_of(r->items, r->count, false, &all));
	anchors_unref(r->all);
	r->all = all;
	return NULL;
}

static bool pass(struct trust_anchor *a, const char *node, const char *identity, const char *by, int64_t now_ms);

/* --- stored --- */

static json_t *encode_passed(const struct trust_anchor *a)
{
	json_t *list = json_array();
	for (size_t n = 0; n < a->passed_count; n++) {
		const struct trust_passed *p = &a->passed[n];
		json_t *o = json_pack("{s:s, s:s, s:s, s:I}", "node", p->node, "identity", p->identity, "by", p->by,
			"at", (json_int_t)p->at_ms);
		invariant(o); /* escaped, so UTF-8 */
		(void)json_array_append_new(list, o);
	}
	return list;
}

static json_t *encode_item(const struct item *i)
{
	const struct trust_anchor *a = &i->anchor;
	struct buf pem = BUF_INIT;
	anchors_pem(i->alone, &pem);
	json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "pem", buf_text(&pem), "since", (json_int_t)a->since_ms,
		"ready", (json_int_t)a->ready_ms, "gone", (json_int_t)a->gone_ms, "used", (json_int_t)a->used_ms,
		"life", (json_int_t)a->life_ms);
	buf_free(&pem);
	invariant(o);
	if (a->passed_count)
		(void)json_object_set_new(o, "passed", encode_passed(a));
	return o;
}

struct fault *trust_record_encode(const struct trust_record *r, struct secret **ret)
{
	json_t *list = json_array();
	for (size_t i = 0; i < r->count; i++)
		(void)json_array_append_new(list, encode_item(&r->items[i]));
	json_t *o = json_pack("{s:i, s:o}", "layout", LAYOUT, "anchors", list);
	char *text = o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(o);
	invariant(text);
	struct fault *f = secret_new(text, strlen(text), ret);
	json_memory_free_text(text);
	return f;
}

static struct fault *decode_passed(struct trust_anchor *a, json_t *list)
{
	size_t at;
	json_t *o;
	json_array_foreach(list, at, o)
	{
		const char *node, *identity, *by;
		json_int_t when;
		if (json_unpack(o, "{s:s, s:s, s:s, s:I}", "node", &node, "identity", &identity, "by", &by, "at",
			    &when) != 0 ||
			!pass(a, node, identity, by, when))
			return fault_new(FAULT_CORRUPT, "a node that is passed over lacks a field");
	}
	return NULL;
}

static struct fault *decode_item(struct trust_record *r, json_t *o)
{
	const char *pem;
	json_int_t since, ready, gone, used, life;
	AUTO(anchors_unrefp) struct anchors *alone = NULL;
	if (json_unpack(o, "{s:s, s:I, s:I, s:I, s:I, s:I}", "pem", &pem, "since", &since, "ready", &ready, "gone",
		    &gone, "used", &used, "life", &life) != 0)
		return fault_new(FAULT_CORRUPT, "an anchor lacks a field");
	TRY(anchors_from_pem(pem, strlen(pem), &alone));
	if (anchors_count(alone) != 1)
		return fault_new(FAULT_CORRUPT, "%zu certificates where one should be", anchors_count(alone));
	append(r, alone);
	struct trust_anchor *a = &r->items[r->count - 1].anchor;
	a->since_ms = since;
	a->ready_ms = ready;
	a->gone_ms = gone;
	a->used_ms = used;
	a->life_ms = life;
	return decode_passed(a, json_object_get(o, "passed"));
}

static struct fault *decode(json_t *o, struct trust_record *r)
{
	int layout;
	json_t *list, *item;
	size_t at;
	if (json_unpack(o, "{s:i, s:o}", "layout", &layout, "anchors", &list) != 0 || !json_is_array(list))
		return fault_new(FAULT_CORRUPT, "it is no record of anchors");
	if (layout != LAYOUT)
		return fault_new(FAULT_CORRUPT, "it has layout %d; this leafcast reads %d", layout, LAYOUT);
	json_array_foreach(list, at, item)
	{
		TRY(decode_item(r, item));
	}
	return renew_union(r);
}

struct fault *trust_record_decode(const struct secret *bytes, struct trust_record **ret)
{
	size_t len;
	const unsigned char *text = secret_bytes(bytes, &len);
	json_t *o = json_loadb((const char *)text, len, JSON_REJECT_DUPLICATES, NULL);
	struct trust_record *r = trust_record_new();
	struct fault *f = o ? decode(o, r) : fault_new(FAULT_CORRUPT, "it is no JSON");
	json_decref(o);
	if (f)
		trust_record_free(r);
	else
		*ret = r;
	return f ? fault_wrap(f, "the stored anchors cannot be read") : NULL;
}

/* --- changes --- */

static struct item *find(struct trust_record *r, const char *sha256)
{
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->items[i].anchor.sha256, sha256) == 0)
			return &r->items[i];
	return NULL;
}

static struct fault *alone_new(X509 *cert, struct anchors **ret)
{
	STACK_OF(X509) *one = sk_X509_new_null();
	invariant(one && sk_X509_push(one, cert) == 1);
	struct fault *f = anchors_new(one, ret);
	sk_X509_free(one);
	return f;
}

static struct fault *add_new(struct trust_record *r, const struct anchors *shown, int64_t now_ms)
{
	for (size_t i = 0; shown && i < anchors_count(shown); i++) {
		AUTO(anchors_unrefp) struct anchors *alone = NULL;
		if (find(r, anchors_info(shown, i)->sha256))
			continue;
		TRY(alone_new(anchors_cert(shown, i), &alone));
		append(r, alone);
		r->items[r->count - 1].anchor.since_ms = now_ms;
	}
	return NULL;
}

static bool mark_gone(struct trust_record *r, const struct anchors *shown, int64_t now_ms)
{
	bool changed = false;
	for (size_t i = 0; i < r->count; i++) {
		struct trust_anchor *a = &r->items[i].anchor;
		bool is_shown = shown && anchors_contain(shown, a->cert);
		if (is_shown != (a->gone_ms == 0))
			changed = true;
		a->gone_ms = is_shown ? 0 : a->gone_ms ? a->gone_ms : now_ms;
	}
	return changed;
}

static void drop_beyond(struct trust_record *r)
{
	for (;;) {
		size_t gone = 0, first = 0;
		for (size_t i = 0; i < r->count; i++) {
			int64_t at = r->items[i].anchor.gone_ms;
			if (at && (gone++ == 0 || at < r->items[first].anchor.gone_ms))
				first = i;
		}
		if (gone <= TRUST_EARLIER_MAX)
			return;
		drop(r, first);
	}
}

struct fault *trust_record_show(struct trust_record *r, const struct anchors *shown, int64_t now_ms, bool *ret_changed)
{
	size_t before = r->count;
	struct fault *f = add_new(r, shown, now_ms);
	bool added = r->count > before;
	if (!f && added)
		f = renew_union(r);
	if (f) {
		while (r->count > before)
			drop(r, r->count - 1);
		return f;
	}
	bool moved = mark_gone(r, shown, now_ms);
	size_t all = r->count;
	drop_beyond(r);
	if (r->count < all)
		fault_ignore(renew_union(r), "a part of what fitted fits");
	*ret_changed = added || moved;
	return NULL;
}

bool trust_record_drop(struct trust_record *r, const char *sha256, bool shown_too)
{
	struct item *i = find(r, sha256);
	if (!i || (!i->anchor.gone_ms && !shown_too))
		return false;
	drop(r, (size_t)(i - r->items));
	fault_ignore(renew_union(r), "a part of what fitted fits");
	return true;
}

static const struct trust_passed *find_passed(const struct trust_anchor *a, const char *node, const char *identity)
{
	for (size_t n = 0; n < a->passed_count; n++)
		if (strcmp(a->passed[n].node, node) == 0 && strcmp(a->passed[n].identity, identity) == 0)
			return &a->passed[n];
	return NULL;
}

const struct trust_passed *trust_anchor_passed(const struct trust_anchor *a, const char *node, const char *identity)
{
	AUTO(mem_freep) char *safe_node = text_escaped(node);
	AUTO(mem_freep) char *safe_identity = text_escaped(identity);
	return find_passed(a, safe_node, safe_identity);
}

static bool pass(struct trust_anchor *a, const char *node, const char *identity, const char *by, int64_t now_ms)
{
	if (find_passed(a, node, identity))
		return true;
	if (a->passed_count == TRUST_PASSED_MAX)
		return false;
	a->passed = mem_realloc(a->passed, (a->passed_count + 1) * sizeof *a->passed);
	a->passed[a->passed_count++] =
		(struct trust_passed){mem_strdup(node), mem_strdup(identity), mem_strdup(by), now_ms};
	return true;
}

bool trust_anchor_pass(struct trust_anchor *a, const char *node, const char *identity, const char *by, int64_t now_ms)
{
	AUTO(mem_freep) char *safe_node = text_escaped(node);
	AUTO(mem_freep) char *safe_identity = text_escaped(identity);
	return pass(a, safe_node, safe_identity, by, now_ms);
}

bool trust_record_sweep(struct trust_record *r, int64_t leaf_life_ms, int64_t now_ms)
{
	size_t before = r->count;
	for (size_t i = r->count; i > 0; i--) {
		const struct trust_anchor *a = &r->items[i - 1].anchor;
		int64_t life = a->life_ms > leaf_life_ms ? a->life_ms : leaf_life_ms;
		int64_t last = a->gone_ms > a->used_ms ? a->gone_ms : a->used_ms;
		if (a->gone_ms && now_ms - last >= life)
			drop(r, i - 1);
	}
	if (r->count == before)
		return false;
	fault_ignore(renew_union(r), "a part of what fitted fits");
	return true;
}

/* --- seen --- */

struct anchors *trust_record_anchors(const struct trust_record *r)
{
	return r->all;
}

struct anchors *trust_record_ready_anchors(const struct trust_record *r)
{
	struct anchors *ready = NULL;
	fault_ignore(union_of(r->items, r->count, true, &ready), "a part of what fitted fits");
	return ready;
}

size_t trust_record_count(const struct trust_record *r)
{
	return r->count;
}

struct trust_anchor *trust_record_at(struct trust_record *r, size_t i)
{
	return &r->items[i].anchor;
}

static bool is_issued_by(const struct cert_info *cert, const struct cert_info *anchor)
{
	if (*cert->issuer_key_id && *anchor->key_id)
		return strcmp(cert->issuer_key_id, anchor->key_id) == 0;
	return strcasecmp(cert->issuer, anchor->subject) == 0;
}

bool trust_leads_to(const struct description *chain, const struct trust_anchor *anchor)
{
	for (size_t i = 0; i < chain->count; i++)
		if (strcmp(chain->certs[i].sha256, anchor->sha256) == 0 || is_issued_by(&chain->certs[i], anchor->info))
			return true;
	return false;
}
