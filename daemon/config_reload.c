/* daemon/config_reload.c - what a running server cannot change, refused by name. The tables say which keys that holds
 * for; listeners are compared one by one. */
#include <stdio.h>
#include <string.h>
#include "base/fault.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/config.h"
#include "base/duration.h"
#include "daemon/config_errors.h"
#include "daemon/config_parts.h"

struct comparison {
	const void *old, *next;
	struct config_errors *errors;
};

static int64_t number_at(const struct field *f, const void *target)
{
	const unsigned char *at = (const unsigned char *)target + f->offset;
	int64_t wide = 0;
	uint32_t narrow = 0;
	if (f->size == sizeof wide)
		memcpy(&wide, at, sizeof wide);
	else
		memcpy(&narrow, at, sizeof narrow);
	return f->size == sizeof wide ? wide : (int64_t)narrow;
}

/* The value as it would be written. The caller owns it. */
static char *value_at(const struct field *f, const void *target)
{
	char duration[48];
	if (f->type == FIELD_PATH || f->type == FIELD_CREDENTIAL || f->type == FIELD_TEXT) {
		const char *text;
		memcpy(&text, (const unsigned char *)target + f->offset, sizeof text);
		return text ? mem_printf("\"%s\"", text) : mem_strdup("the default");
	}
	if (f->type == FIELD_DURATION)
		return mem_strdup(duration_text(number_at(f, target), duration, sizeof duration));
	return mem_printf("%lld", (long long)number_at(f, target));
}

static void compare_field(const struct comparison *c, const char *path, const struct field *f)
{
	AUTO(mem_freep) char *old = value_at(f, c->old);
	AUTO(mem_freep) char *next = value_at(f, c->next);
	if (strcmp(old, next) != 0)
		config_errors_add(c->errors, 0, 0,
			"%s%s%s cannot change from %s to %s while the server runs; restart it", path, *path ? "." : "",
			f->key, old, next);
}

static void compare_set(const struct comparison *c, const struct field_set *set)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct field *f = &set->fields[i];
		if (f->type == FIELD_GROUP)
			compare_set(c, field_group(f));
		else if (f->restart && f->type != FIELD_OTHER)
			compare_field(c, set->path, f);
	}
}

static bool same_listener(const struct listen_config *a, const struct listen_config *b)
{
	if (a->type != b->type || a->mode != b->mode || a->owner != b->owner || a->group != b->group ||
		!text_same(a->path, b->path) || !text_same(a->address, b->address) ||
		a->client_ca_count != b->client_ca_count)
		return false;
	for (size_t i = 0; i < a->client_ca_count; i++)
		if (!text_same(a->client_ca[i], b->client_ca[i]))
			return false;
	return true;
}

static void compare_listeners(const struct config *old, const struct config *next, struct config_errors *e)
{
	static const char *const types[] = {
		[LISTEN_UNIX] = "unix", [LISTEN_TCP] = "tcp", [LISTEN_TELEMETRY] = "telemetry"};
	if (old->listen_count != next->listen_count)
		config_errors_add(e, 0, 0,
			"listen cannot change from %zu to %zu listeners while the server runs; restart it",
			old->listen_count, next->listen_count);
	for (size_t i = 0; i < old->listen_count && i < next->listen_count; i++) {
		const struct listen_config *was = &old->listen[i];
		if (!same_listener(was, &next->listen[i]))
			config_errors_add(e, (size_t)next->listen[i].line, (size_t)next->listen[i].column,
				"listen[%zu] (%s \"%s\") cannot change while the server runs; restart it", i,
				types[was->type], was->path ? was->path : was->address);
	}
}

struct fault *config_check_reload(
	const struct config *old, const struct config *next, struct config_errors **ret_errors)
{
	struct config_errors *e = config_errors_new(next->source_path ? next->source_path : "the built-in config");
	const struct comparison c = {old, next, e};
	compare_set(&c, config_root_fields());
	compare_listeners(old, next, e);
	struct fault *f = config_errors_fault(e);
	if (f && ret_errors)
		*ret_errors = e;
	else
		config_errors_free(e);
	return f;
}
