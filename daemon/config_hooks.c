/* daemon/config_hooks.c - `hooks`: commands, and what they are run for. */
#include <stdlib.h>
#include <string.h>
#include "base/duration.h"
#include "base/mem.h"
#include "control/definitions.h"
#include "daemon/config.h"
#include "daemon/config_parts.h"

/* What a hook says by itself. */
#define OWN_VARIABLES "LEAFCAST_"
#define LEFT_MAX_MS (INT64_C(3650) * 24 * 3600 * 1000)

static field_read read_command, read_environment, read_events, read_secrets, read_below;

static const struct field hook[] = {
	{.key = "command",
		.type = FIELD_OTHER,
		.read = read_command,
		.takes = CONFIG_COMMAND_TAKES,
		.required = true,
		.help = "the program and its arguments, no shell; facts come by LEAFCAST_ variables, and as JSON on "
			"its stdin"},
	{.key = "events",
		.type = FIELD_OTHER,
		.read = read_events,
		.takes = "a list of rotated, failed, expiring, each once",
		.required = true,
		.help = "when it is run: a new version is served, an issuance failed, little is left of a life"},
	{.key = "secrets",
		.type = FIELD_OTHER,
		.read = read_secrets,
		.takes = "a list of names or patterns of secrets",
		.otherwise = "all",
		.help = "of which secrets; \"*\" stops at \"/\", \"**\" does not"},
	{.key = "life_below",
		.type = FIELD_OTHER,
		.read = read_below,
		.takes = "a part of its life from 1% to 90%, or a duration from 1s to 3650d",
		.otherwise = "`15%`",
		.help = "`expiring`: how little of a certificate's life is left; once for each version"},
	{.key = "timeout",
		.type = FIELD_DURATION,
		FIELD_AT(struct hook_def, timeout_ms),
		.min = HOOK_TIMEOUT_MIN_MS,
		.max = HOOK_TIMEOUT_MAX_MS,
		.initial = "30s",
		.help = "how long one run may take; then its process group is ended"},
	{.key = "environment",
		.type = FIELD_OTHER,
		.read = read_environment,
		.takes = CONFIG_ENVIRONMENT_TAKES,
		.otherwise = "none",
		.help = "variables of leafcast's own environment that it gets too, beside PATH"},
};
static const struct field_set hook_fields = {"hooks.NAME", hook, ARRAY_LEN(hook)};

const struct field_set *config_hook_fields(void)
{
	return &hook_fields;
}

static void read_command(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct hook_def *h = target;
	config_read_command(r, f, n, &h->command, &h->command_count);
}

static void read_environment(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct hook_def *h = target;
	config_read_environment(r, f, n, &h->environment, &h->environment_count);
	for (size_t i = 0; i < h->environment_count; i++)
		if (strncmp(h->environment[i], OWN_VARIABLES, strlen(OWN_VARIABLES)) == 0 &&
			strcmp(h->environment[i], "LEAFCAST_ADMIN") != 0) {
			config_yaml_error(&r->yaml, n,
				"%s has \"%.100s\"; names that begin with %s are the event's own", config_path(r),
				h->environment[i], OWN_VARIABLES);
			return;
		}
}

static void read_event(struct config_reader *r, yaml_node_t *item, size_t index, void *arg)
{
	static const char *const names[] = {"rotated", "failed", "expiring"};
	static const enum hook_event events[] = {HOOK_ROTATED, HOOK_FAILED, HOOK_EXPIRING};
	struct hook_def *h = arg;
	const char *text = config_yaml_text(item);
	char what[128];
	(void)index;
	for (size_t i = 0; item->type == YAML_SCALAR_NODE && i < ARRAY_LEN(names); i++) {
		if (strcmp(text, names[i]) != 0)
			continue;
		if (h->events & events[i])
			config_yaml_error(
				&r->yaml, item, "%s is \"%s\" a second time; remove it", config_path(r), text);
		h->events |= events[i];
		return;
	}
	struct buf hint = BUF_INIT;
	config_suggest(text, names, ARRAY_LEN(names), &hint);
	config_yaml_error(&r->yaml, item, "%s is %s%s", config_path(r), config_yaml_describe(item, what, sizeof what),
		buf_text(&hint));
	buf_free(&hint);
}

static void read_events(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	if (config_each_item(r, n, f->takes, read_event, target) &&
		n->data.sequence.items.start == n->data.sequence.items.top)
		config_yaml_error(&r->yaml, n, "%s is an empty list; it takes %s", config_path(r), f->takes);
}

static void read_secrets(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct hook_def *h = target;
	config_read_patterns(r, f, n, &h->secrets, &h->secret_count);
	if (h->secret_count > HOOK_PATTERNS_MAX)
		config_yaml_error(&r->yaml, n, "%s has %zu patterns; at most %d are possible", config_path(r),
			h->secret_count, HOOK_PATTERNS_MAX);
}

/* "15%". */
static bool parse_part(const char *text, int *ret)
{
	size_t digits = strspn(text, "0123456789");
	if (digits == 0 || digits > 2 || *text == '0' || strcmp(text + digits, "%") != 0)
		return false;
	*ret = (int)strtol(text, NULL, 10);
	return *ret <= 90;
}

static void read_below(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct hook_def *h = target;
	const char *text = config_yaml_text(n);
	int64_t ms = 0;
	h->below_percent = 0;
	if (n->type == YAML_SCALAR_NODE && parse_part(text, &h->below_percent))
		return;
	if (n->type == YAML_SCALAR_NODE && duration_parse(text, &ms) && ms >= 1000 && ms <= LEFT_MAX_MS)
		h->below_ms = ms;
	else
		config_refuse(r, n, f->takes);
}

static void read_hook(struct config_reader *r, const char *name, yaml_node_t *key, yaml_node_t *n, void *arg)
{
	struct definitions *d = r->config->definitions;
	yaml_node_t *below = NULL;
	(void)arg;
	if (d->hook_count == HOOKS_MAX) {
		config_yaml_error(
			&r->yaml, key, "%s is one hook too many; at most %d are possible", config_path(r), HOOKS_MAX);
		return;
	}
	d->hooks = mem_realloc(d->hooks, (d->hook_count + 1) * sizeof(*d->hooks));
	struct hook_def *h = &d->hooks[d->hook_count++];
	memset(h, 0, sizeof *h);
	h->name = mem_strdup(name);
	h->below_percent = 15;
	if (!fields_read(r, &hook_fields, n, h))
		return;
	if (h->events && !(h->events & HOOK_EXPIRING) && config_yaml_get(&r->yaml, n, "life_below", &below))
		config_yaml_error(&r->yaml, below,
			"%s is not run for \"expiring\", so life_below means nothing; remove it", config_path(r));
}

void config_read_hooks(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	(void)target;
	config_each_name(r, n, f->takes, read_hook, NULL);
}
