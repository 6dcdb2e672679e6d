#include "control/hook_facts.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/cert_info.h"
#include "base/clock.h"
#include "base/io/child_env.h"
#include "base/io/json_memory.h"
#include "base/mem.h"
#include "base/text.h"

const char *hook_event_name(enum hook_event e)
{
	return e == HOOK_ROTATED ? "rotated" : e == HOOK_FAILED ? "failed" : "expiring";
}

static char *shortened(const char *text)
{
	if (!text)
		return NULL;
	AUTO(mem_freep) char *cut = mem_strndup(text, strnlen(text, HOOK_ERROR_MAX));
	text_mend_utf8(cut); /* a character may have been cut */
	return TAKE(cut);
}

struct hook_facts *hook_facts_new(enum hook_event event, const char *secret, const char *entry, enum secret_kind kind,
	const struct version *v, const char *error, int64_t at_ms)
{
	struct hook_facts *f = mem_new(struct hook_facts);
	const struct cert_info *leaf = v ? version_leaf(v) : NULL;
	f->event = event;
	f->secret = mem_strdup(secret);
	f->entry = mem_strdup(entry);
	f->kind = mem_strdup(kind ? secret_kind_name(kind) : NULL);
	f->error = shortened(error);
	f->at_ms = at_ms;
	f->events = 1;
	if (!v)
		return f;
	f->version = mem_strdup(version_id(v));
	f->authority = mem_strdup(version_authority(v));
	f->profile = mem_strdup(version_profile(v));
	f->not_after_ms = version_not_after_ms(v);
	if (leaf) {
		f->serial = mem_strdup(leaf->serial);
		f->fingerprint = mem_strdup(leaf->sha256);
	}
	return f;
}

void hook_facts_free(struct hook_facts *f)
{
	if (!f)
		return;
	free(f->secret);
	free(f->entry);
	free(f->kind);
	free(f->version);
	free(f->serial);
	free(f->fingerprint);
	free(f->authority);
	free(f->profile);
	free(f->error);
	free(f);
}

/* Both ways say the same: each fact is named once, here. */
typedef void fact_text_fn(void *arg, const char *key, const char *variable, const char *value);
typedef void fact_number_fn(void *arg, const char *key, const char *variable, uint64_t value);

static void each_fact(const struct hook_facts *f, const char *hook, uint64_t missed, fact_text_fn *text,
	fact_number_fn *number, void *arg)
{
	char at[32] = "", not_after[32] = "";
	clock_format(f->at_ms, at, sizeof at);
	if (f->not_after_ms)
		clock_format(f->not_after_ms, not_after, sizeof not_after);
	text(arg, "event", "LEAFCAST_EVENT", hook_event_name(f->event));
	text(arg, "hook", "LEAFCAST_HOOK", hook);
	text(arg, "at", "LEAFCAST_AT", at);
	text(arg, "secret", "LEAFCAST_SECRET", f->secret);
	text(arg, "entry", "LEAFCAST_ENTRY", f->entry);
	text(arg, "kind", "LEAFCAST_KIND", f->kind);
	text(arg, "version", "LEAFCAST_VERSION", f->version);
	text(arg, "serial", "LEAFCAST_SERIAL", f->serial);
	text(arg, "fingerprint", "LEAFCAST_FINGERPRINT", f->fingerprint);
	text(arg, "not_after", "LEAFCAST_NOT_AFTER", *not_after ? not_after : NULL);
	text(arg, "authority", "LEAFCAST_AUTHORITY", f->authority);
	text(arg, "profile", "LEAFCAST_PROFILE", f->profile);
	text(arg, "error", "LEAFCAST_ERROR", f->error);
	number(arg, "events", "LEAFCAST_EVENTS", f->events);
	number(arg, "missed", "LEAFCAST_MISSED", missed);
}

static void add_json_text(void *arg, const char *key, const char *variable, const char *value)
{
	(void)variable;
	if (!value)
		return;
	AUTO(mem_freep) char *safe = text_escaped(value);
	(void)json_object_set_new(arg, key, json_string(safe));
}

static void add_json_number(void *arg, const char *key, const char *variable, uint64_t value)
{
	(void)variable;
	(void)json_object_set_new(arg, key, json_integer((json_int_t)value));
}

void hook_facts_add_json(const struct hook_facts *f, const char *hook, uint64_t missed, struct buf *ret)
{
	json_t *o = json_object();
	each_fact(f, hook, missed, add_json_text, add_json_number, o);
	char *text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	invariant(text);
	buf_add_text(ret, text);
	buf_add_text(ret, "\n");
	json_memory_free_text(text);
}

static void add_env_text(void *arg, const char *key, const char *variable, const char *value)
{
	(void)key;
	if (!value)
		return;
	AUTO(mem_freep) char *safe = text_escaped(value);
	child_env_add(arg, variable, safe);
}

static void add_env_number(void *arg, const char *key, const char *variable, uint64_t value)
{
	char text[24];
	(void)key;
	(void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
	child_env_add(arg, variable, text);
}

void hook_facts_add_env(const struct hook_facts *f, const char *hook, uint64_t missed, struct child_env *ret)
{
	each_fact(f, hook, missed, add_env_text, add_env_number, ret);
}
