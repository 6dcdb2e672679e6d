/* daemon/config_profiles.c - `profiles`, and the lists of SAN templates that profiles, secrets and listeners share. */
#include <stdlib.h>
#include <string.h>
#include "base/duration.h"
#include "base/fault.h"
#include "base/mem.h"
#include "control/definitions.h"
#include "control/rotation_plan.h"
#include "control/template.h"
#include "daemon/config.h"
#include "daemon/config_parts.h"

static field_read read_authority_name;

static const struct field before_fields[] = {
	{.key = "from",
		.type = FIELD_DURATION,
		FIELD_AT(struct profile_def, renew_before_from_ms),
		.min = 1000,
		.max = BUILTIN_LIFETIME_MAX_MS,
		.required = true,
		.help = "how long before its end it is renewed at the earliest"},
	{.key = "to",
		.type = FIELD_DURATION,
		FIELD_AT(struct profile_def, renew_before_to_ms),
		.min = 1000,
		.max = BUILTIN_LIFETIME_MAX_MS,
		.required = true,
		.help = "and at the latest; the moment between is drawn"},
};
static const struct field_set before = {"profiles.NAME.renew.before", before_fields, ARRAY_LEN(before_fields)};

static const struct field renew_fields[] = {
	{.key = "from",
		.type = FIELD_PERCENT,
		FIELD_AT(struct profile_def, renew_from_percent),
		.min = 10,
		.max = 79,
		.initial = "50%",
		.help = "renew after so much of a leaf's life at the earliest"},
	{.key = "to",
		.type = FIELD_PERCENT,
		FIELD_AT(struct profile_def, renew_to_percent),
		.min = 11,
		.max = 80,
		.initial = "70%",
		.help = "and after so much at the latest; the moment between is drawn"},
	{.key = "before",
		.type = FIELD_GROUP,
		.group = &before,
		.help = "in place of these two: how long before a leaf's end, such as {from: 8h, to: 4h}"},
};
static const struct field_set renew = {"profiles.NAME.renew", renew_fields, ARRAY_LEN(renew_fields)};

static const struct field profile[] = {
	{.key = "authority",
		.type = FIELD_OTHER,
		.read = read_authority_name,
		FIELD_AT(struct profile_def, authorities),
		.takes = "the name of an authority, or a list of them in order",
		.otherwise = "the only one",
		.help = "who signs; of several the first that answers. A bundle with one of them holds the roots of "
			"all"},
	{.key = "key",
		.type = FIELD_KEY_TYPE,
		FIELD_AT(struct profile_def, key),
		.initial = "ecdsa-p256",
		.help = "the type of a leaf's key; a new key is made for each leaf"},
	{.key = "lifetime",
		.type = FIELD_DURATION,
		FIELD_AT(struct profile_def, lifetime_ms),
		.min = BUILTIN_LIFETIME_MIN_MS,
		.max = BUILTIN_LIFETIME_MAX_MS,
		.initial = "1h",
		.help = "how long a leaf is valid"},
	{.key = "renew",
		.type = FIELD_GROUP,
		.group = &renew,
		.help = "when a leaf is replaced, in parts of its life or before its end; never in its first tenth or "
			"last fifth"},
	{.key = "dns",
		.type = FIELD_OTHER,
		.read = config_read_sans,
		FIELD_AT(struct profile_def, sans[SAN_DNS]),
		.tag = SAN_DNS,
		.takes = "a list of DNS names",
		.help = "DNS names of a leaf; with {variables}"},
	{.key = "uri",
		.type = FIELD_OTHER,
		.read = config_read_sans,
		FIELD_AT(struct profile_def, sans[SAN_URI]),
		.tag = SAN_URI,
		.takes = "a list of URIs",
		.help = "URIs of a leaf, such as SPIFFE IDs; with {variables}"},
	{.key = "ip",
		.type = FIELD_OTHER,
		.read = config_read_sans,
		FIELD_AT(struct profile_def, sans[SAN_IP]),
		.tag = SAN_IP,
		.takes = "a list of IP addresses",
		.help = "IP addresses of a leaf"},
	{.key = "email",
		.type = FIELD_OTHER,
		.read = config_read_sans,
		FIELD_AT(struct profile_def, sans[SAN_EMAIL]),
		.tag = SAN_EMAIL,
		.takes = "a list of e-mail addresses",
		.help = "e-mail addresses of a leaf; with {variables}"},
};
static const struct field_set profile_fields = {"profiles.NAME", profile, ARRAY_LEN(profile)};

const struct field_set *config_profile_fields(void)
{
	return &profile_fields;
}

struct san_reading {
	enum san_type type;
	struct template_list *list;
};

/* In place of a template with an error, so that its owner does not seem to have none. */
static struct template *stand_in(enum san_type type)
{
	static const char *const examples[] = {[SAN_DNS] = "x.example",
		[SAN_URI] = "spiffe://x.example/x",
		[SAN_IP] = "192.0.2.1",
		[SAN_EMAIL] = "x@x.example"};
	struct template *t = NULL;
	struct fault *f = template_parse(examples[type], type, &t);
	invariant(!f);
	return t;
}

static void read_san(struct config_reader *r, yaml_node_t *item, size_t index, void *arg)
{
	struct san_reading *s = arg;
	struct template *t = NULL;
	(void)index;
	if (item->type != YAML_SCALAR_NODE || config_yaml_is_nothing(item)) {
		config_refuse(r, item, "a text");
		return;
	}
	struct fault *f = template_parse(config_yaml_text(item), s->type, &t);
	if (f) {
		config_yaml_error(&r->yaml, item, "%s: %s", config_path(r), fault_text(f));
		fault_free(f);
		t = stand_in(s->type);
	}
	s->list->items = mem_realloc(s->list->items, (s->list->count + 1) * sizeof(struct template *));
	s->list->items[s->list->count++] = t;
}

void config_read_sans(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct san_reading s = {
		(enum san_type)f->tag, (struct template_list *)(void *)((unsigned char *)target + f->offset)};
	(void)config_each_item(r, n, f->takes, read_san, &s);
}

/* Takes name. */
static void add_only(struct profile_def *p, char *name)
{
	p->authorities = mem_array(char *, 1);
	p->authorities[0] = name;
	p->authority_count = 1;
}

static void read_authority_name(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct profile_def *p = target;
	(void)f;
	if (n->type == YAML_SEQUENCE_NODE) {
		config_read_authority_list(r, n, &p->authorities, &p->authority_count);
		return;
	}
	char *only = config_read_authority(r, n);
	if (only)
		add_only(p, only);
}

/* A profile that names no authority means the only one there is. */
static void choose_authority(struct config_reader *r, yaml_node_t *n, struct profile_def *p)
{
	const struct definitions *d = r->config->definitions;
	if (config_yaml_get(&r->yaml, n, "authority", NULL))
		return;
	if (d->authority_count == 1) {
		add_only(p, mem_strdup(d->authorities[0].name));
		return;
	}
	struct config_names names =
		config_names_new("authority", d->authorities, d->authority_count, sizeof(*d->authorities));
	struct buf hint = BUF_INIT;
	config_suggest("", names.list, names.count, &hint);
	config_yaml_error(&r->yaml, n, "\"authority\" is missing in %s, and there is not exactly one to choose%s",
		config_path(r), buf_text(&hint));
	buf_free(&hint);
	config_names_done(&names);
}

/* Both ends within the part of a life in which a leaf may be renewed. */
static void check_before(struct config_reader *r, yaml_node_t *renew_node, const struct profile_def *p)
{
	const int64_t life = p->lifetime_ms, most = life / 100 * (100 - ROTATION_SOONEST_PERCENT),
		      least = life / 100 * (100 - ROTATION_LATEST_PERCENT);
	yaml_node_t *at = config_yaml_get(&r->yaml, renew_node, "before", NULL);
	char a[48], b[48], c[48];
	if (!at || !p->renew_before_from_ms || !p->renew_before_to_ms || !life)
		return;
	if (config_yaml_get(&r->yaml, renew_node, "from", NULL) || config_yaml_get(&r->yaml, renew_node, "to", NULL))
		config_yaml_error(&r->yaml, at, "%s.renew has \"before\" and a window in percent; it takes one of them",
			config_path(r));
	if (p->renew_before_from_ms <= p->renew_before_to_ms)
		config_yaml_error(&r->yaml, at, "%s.renew.before is from %s to %s; \"from\" must be more than \"to\"",
			config_path(r), duration_text(p->renew_before_from_ms, a, sizeof a),
			duration_text(p->renew_before_to_ms, b, sizeof b));
	else if (p->renew_before_from_ms > most || p->renew_before_to_ms < least)
		config_yaml_error(&r->yaml, at,
			"%s.renew.before does not fit a life of %s: \"from\" is at most %s, \"to\" at least %s",
			config_path(r), duration_text(life, a, sizeof a), duration_text(most, b, sizeof b),
			duration_text(least, c, sizeof c));
}

static void check_renew(struct config_reader *r, yaml_node_t *n, const struct profile_def *p)
{
	yaml_node_t *at = config_yaml_get(&r->yaml, n, "renew", NULL);
	if (p->renew_from_percent >= p->renew_to_percent && p->renew_from_percent && p->renew_to_percent)
		config_yaml_error(&r->yaml, at ? at : n,
			"%s.renew is from %d%% to %d%%; \"from\" must be less than \"to\"", config_path(r),
			p->renew_from_percent, p->renew_to_percent);
	if (at && at->type == YAML_MAPPING_NODE)
		check_before(r, at, p);
}

static void read_profile(struct config_reader *r, const char *name, yaml_node_t *key, yaml_node_t *n, void *arg)
{
	struct definitions *d = r->config->definitions;
	(void)key;
	(void)arg;
	d->profiles = mem_realloc(d->profiles, (d->profile_count + 1) * sizeof(*d->profiles));
	struct profile_def *p = &d->profiles[d->profile_count++];
	memset(p, 0, sizeof *p);
	p->name = mem_strdup(name);
	if (!fields_read(r, &profile_fields, n, p))
		return;
	choose_authority(r, n, p);
	check_renew(r, n, p);
}

void config_read_profiles(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	(void)target;
	config_each_name(r, n, f->takes, read_profile, NULL);
}
