/* daemon/config_policy.c - `policy`: a list of rules. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/text.h"
#include "control/definitions.h"
#include "control/pattern.h"
#include "daemon/config.h"
#include "daemon/config_parts.h"

static field_read read_who, read_names, read_pattern, read_ca;
enum { NAMES_MAY, NAMES_DENY };

static const struct field who[] = {
	{.key = "uid",
		.type = FIELD_NUMBER,
		FIELD_AT(struct rule_def, uid),
		.max = 4294967294,
		.tag = WHO_UID,
		.help = "the user id of a process at a unix socket"},
	{.key = "gid",
		.type = FIELD_NUMBER,
		FIELD_AT(struct rule_def, gid),
		.max = 4294967294,
		.tag = WHO_GID,
		.help = "its group id"},
	{.key = "uri",
		.type = FIELD_OTHER,
		.read = read_pattern,
		FIELD_AT(struct rule_def, uri),
		.tag = WHO_URI,
		.takes = "a pattern over URIs, such as \"spiffe://td.example/gw/*\"",
		.help = "a URI of a TLS client's certificate; \"*\" stops at \"/\", \"**\" does not"},
	{.key = "dns",
		.type = FIELD_OTHER,
		.read = read_pattern,
		FIELD_AT(struct rule_def, dns),
		.tag = WHO_DNS,
		.takes = "a pattern over DNS names, such as \"*.gw.example\"",
		.help = "a DNS name of a TLS client's certificate; \"*\" stops at \".\", \"**\" does not"},
	{.key = "ca",
		.type = FIELD_OTHER,
		.read = read_ca,
		.tag = WHO_CA,
		.takes = "the name of an authority",
		.help = "the authority that a TLS client's certificate leads to"},
};
static const struct field_set who_fields = {"policy[].who", who, ARRAY_LEN(who)};

static const struct field rule[] = {
	{.key = "who",
		.type = FIELD_OTHER,
		.read = read_who,
		.group = &who_fields,
		.takes = "a mapping with uid, gid, uri, dns, ca",
		.required = true,
		.help = "whom the rule is about: every key that is given must hold; {} is nobody"},
	{.key = "may",
		.type = FIELD_OTHER,
		.read = read_names,
		.tag = NAMES_MAY,
		.takes = "a list of names or patterns of secrets",
		.help = "the names they may have; \"*\" stops at \"/\", \"**\" does not"},
	{.key = "deny",
		.type = FIELD_OTHER,
		.read = read_names,
		.tag = NAMES_DENY,
		.takes = "a list of names or patterns of secrets",
		.help = "the names they may not have, whatever other rules say"},
};
static const struct field_set rule_fields = {"policy[]", rule, ARRAY_LEN(rule)};

const struct field_set *config_rule_fields(void)
{
	return &rule_fields;
}

static void read_who(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct rule_def *d = target;
	(void)f;
	if (!fields_read(r, &who_fields, n, d))
		return;
	for (size_t i = 0; i < ARRAY_LEN(who); i++)
		if (config_yaml_get(&r->yaml, n, who[i].key, NULL))
			d->who |= (unsigned)who[i].tag;
}

/* NULL: an error was added. */
static char *pattern_of(struct config_reader *r, yaml_node_t *n, size_t max, const char *takes)
{
	const char *text = config_yaml_text(n);
	size_t len = strlen(text);
	if (n->type != YAML_SCALAR_NODE || config_yaml_is_nothing(n) || len == 0)
		config_refuse(r, n, takes);
	else if (len > max)
		config_yaml_error(&r->yaml, n, "%s has %zu bytes; at most %zu are possible", config_path(r), len, max);
	else if (strstr(text, "***"))
		config_yaml_error(&r->yaml, n,
			"%s has three stars in a row; \"*\" stops at a separator, \"**\" does not", config_path(r));
	else
		return mem_strdup(text);
	return NULL;
}

static void read_pattern(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	char *text = pattern_of(r, n, PATTERN_MAX, f->takes);
	memcpy((unsigned char *)target + f->offset, &text, sizeof text);
}

static void read_ca(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct rule_def *d = target;
	(void)f;
	d->ca = config_read_authority(r, n);
}

struct name_list {
	char **list;
	size_t count;
};

static void read_name(struct config_reader *r, yaml_node_t *item, size_t index, void *arg)
{
	struct name_list *l = arg;
	char *text = pattern_of(r, item, TEXT_NAME_MAX, "a name or a pattern of a secret");
	(void)index;
	if (!text)
		return;
	l->list = mem_realloc(l->list, (l->count + 1) * sizeof(*l->list));
	l->list[l->count++] = text;
}

void config_read_patterns(
	struct config_reader *r, const struct field *f, yaml_node_t *n, char ***ret, size_t *ret_count)
{
	struct name_list l = {NULL, 0};
	if (config_each_item(r, n, f->takes, read_name, &l) &&
		n->data.sequence.items.start == n->data.sequence.items.top)
		config_yaml_error(&r->yaml, n, "%s is an empty list; name a secret, or remove the key", config_path(r));
	*ret = l.list;
	*ret_count = l.count;
}

static void read_names(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct rule_def *d = target;
	if (f->tag == NAMES_MAY)
		config_read_patterns(r, f, n, &d->may, &d->may_count);
	else
		config_read_patterns(r, f, n, &d->deny, &d->deny_count);
}

static void read_rule(struct config_reader *r, yaml_node_t *n, size_t index, void *arg)
{
	struct definitions *d = r->config->definitions;
	(void)index;
	(void)arg;
	d->rules = mem_realloc(d->rules, (d->rule_count + 1) * sizeof(*d->rules));
	struct rule_def *added = &d->rules[d->rule_count++];
	memset(added, 0, sizeof *added);
	added->line = (int)n->start_mark.line + 1;
	if (!fields_read(r, &rule_fields, n, added))
		return;
	if (!config_yaml_get(&r->yaml, n, "may", NULL) && !config_yaml_get(&r->yaml, n, "deny", NULL))
		config_yaml_error(&r->yaml, n, "%s gives and takes nothing; a rule has \"may\", \"deny\" or both",
			config_path(r));
}

void config_read_policy(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	(void)target;
	(void)config_each_item(r, n, f->takes, read_rule, NULL);
}
