#include "control/trust_bans.h"
#include <jansson.h>
#include <openssl/x509.h>
#include <string.h>
#include "base/anchors.h"
#include "base/fault.h"
#include "base/io/json_memory.h"
#include "base/mem.h"
#include "base/secret.h"

/* The layout of a stored set; another number is from another leafcast. */
#define LAYOUT 1

struct trust_bans {
	struct trust_ban items[TRUST_BANS_MAX]; /* oldest first */
	size_t count;
};

struct trust_bans *trust_bans_new(void)
{
	return mem_new(struct trust_bans);
}

static void ban_done(struct trust_ban *ban)
{
	free(ban->sha256);
	free(ban->subject);
	free(ban->by);
}

void trust_bans_free(struct trust_bans *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->count; i++)
		ban_done(&b->items[i]);
	free(b);
}

/* --- changes --- */

static bool is_fingerprint(const char *text)
{
	return strlen(text) == TRUST_SHA256_HEX && strspn(text, "0123456789abcdef") == TRUST_SHA256_HEX;
}

struct fault *trust_bans_add(
	struct trust_bans *b, const char *sha256, const char *subject, const char *by, int64_t at_ms)
{
	if (!is_fingerprint(sha256))
		return fault_new(FAULT_INVALID, "an anchor that is banned has no fingerprint");
	if (trust_bans_find(b, sha256))
		return fault_new(FAULT_CONFLICT, "anchor %s is banned already", sha256);
	if (b->count == TRUST_BANS_MAX)
		return fault_new(FAULT_EXHAUSTED, "%d anchors are banned already: lift a ban that is needed no more",
			TRUST_BANS_MAX);
	b->items[b->count++] = (struct trust_ban){mem_strdup(sha256), mem_strdup(subject), mem_strdup(by), at_ms};
	return NULL;
}

bool trust_bans_lift(struct trust_bans *b, const char *sha256)
{
	const struct trust_ban *found = trust_bans_find(b, sha256);
	if (!found)
		return false;
	size_t at = (size_t)(found - b->items);
	ban_done(&b->items[at]);
	memmove(&b->items[at], &b->items[at + 1], (--b->count - at) * sizeof *b->items);
	return true;
}

/* --- stored --- */

struct fault *trust_bans_encode(const struct trust_bans *b, struct secret **ret)
{
	json_t *list = json_array();
	for (size_t i = 0; i < b->count; i++) {
		const struct trust_ban *ban = &b->items[i];
		json_t *o = json_pack("{s:s, s:s, s:s, s:I}", "sha256", ban->sha256, "subject", ban->subject, "by",
			ban->by, "at", (json_int_t)ban->at_ms);
		invariant(o); /* subjects are escaped, so UTF-8 */
		(void)json_array_append_new(list, o);
	}
	json_t *o = json_pack("{s:i, s:o}", "layout", LAYOUT, "bans", list);
	char *text = o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(o);
	invariant(text);
	struct fault *f = secret_new(text, strlen(text), ret);
	json_memory_free_text(text);
	return f;
}

static struct fault *decode(json_t *o, struct trust_bans *b)
{
	int layout;
	json_t *list, *item;
	size_t at;
	if (json_unpack(o, "{s:i, s:o}", "layout", &layout, "bans", &list) != 0 || !json_is_array(list))
		return fault_new(FAULT_CORRUPT, "it is no record of bans");
	if (layout != LAYOUT)
		return fault_new(FAULT_CORRUPT, "it has layout %d; this leafcast reads %d", layout, LAYOUT);
	json_array_foreach(list, at, item)
	{
		const char *sha256, *subject, *by;
		json_int_t when;
		if (json_unpack(item, "{s:s, s:s, s:s, s:I}", "sha256", &sha256, "subject", &subject, "by", &by, "at",
			    &when) != 0)
			return fault_new(FAULT_CORRUPT, "a ban lacks a field");
		AUTO(fault_freep) struct fault *f = trust_bans_add(b, sha256, subject, by, when);
		if (f)
			return fault_new(FAULT_CORRUPT, "%s", fault_text(f));
	}
	return NULL;
}

struct fault *trust_bans_decode(const struct secret *bytes, struct trust_bans **ret)
{
	size_t len;
	const unsigned char *text = secret_bytes(bytes, &len);
	json_t *o = json_loadb((const char *)text, len, JSON_REJECT_DUPLICATES, NULL);
	struct trust_bans *b = trust_bans_new();
	struct fault *f = o ? decode(o, b) : fault_new(FAULT_CORRUPT, "it is no JSON");
	json_decref(o);
	if (f)
		trust_bans_free(b);
	else
		*ret = b;
	return f ? fault_wrap(f, "the stored bans cannot be read") : NULL;
}

/* --- seen --- */

const struct trust_ban *trust_bans_find(const struct trust_bans *b, const char *sha256)
{
	for (size_t i = 0; i < b->count; i++)
		if (strcmp(b->items[i].sha256, sha256) == 0)
			return &b->items[i];
	return NULL;
}

size_t trust_bans_count(const struct trust_bans *b)
{
	return b->count;
}

const struct trust_ban *trust_bans_at(const struct trust_bans *b, size_t i)
{
	return &b->items[i];
}

struct fault *trust_bans_filter(const struct trust_bans *b, struct anchors *shown, struct anchors **ret)
{
	STACK_OF(X509) *left = sk_X509_new_null();
	struct fault *f = NULL;
	invariant(left);
	for (size_t i = 0; i < anchors_count(shown); i++)
		if (!trust_bans_find(b, anchors_info(shown, i)->sha256))
			invariant(sk_X509_push(left, anchors_cert(shown, i)) > 0);
	*ret = NULL;
	if ((size_t)sk_X509_num(left) == anchors_count(shown))
		*ret = anchors_ref(shown);
	else if (sk_X509_num(left) > 0)
		f = anchors_new(left, ret);
	sk_X509_free(left);
	return f;
}
