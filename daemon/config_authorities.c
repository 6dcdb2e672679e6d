/* daemon/config_authorities.c - `authorities`: a mapping from names to what they are, each kind with its own keys. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "control/definitions.h"
#include "daemon/config.h"
#include "daemon/config_authority.h"
#include "daemon/config_parts.h"

/* The kinds of authority that this program has; the first one is meant where no type is given. */
static const struct config_authority_kind KINDS[] = {
	{"builtin", AUTHORITY_BUILTIN, &CONFIG_BUILTIN_FIELDS, config_check_builtin},
	{"step", AUTHORITY_STEP, &CONFIG_STEP_FIELDS, config_check_step},
	{"vault", AUTHORITY_VAULT, &CONFIG_VAULT_FIELDS, config_check_vault},
	{"exec", AUTHORITY_EXEC, &CONFIG_EXEC_FIELDS, config_check_exec},
};

/* For the reference: the keys of each. */
static const struct field reference[] = {
	{.type = FIELD_OTHER, .group = &CONFIG_BUILTIN_FIELDS},
	{.type = FIELD_OTHER, .group = &CONFIG_STEP_FIELDS},
	{.type = FIELD_OTHER, .group = &CONFIG_VAULT_FIELDS},
	{.type = FIELD_OTHER, .group = &CONFIG_EXEC_FIELDS},
};

const struct field_set *config_authority_fields(void)
{
	static const struct field_set set = {"", reference, ARRAY_LEN(reference)};
	return &set;
}

/* It was read before the rest and said which keys there are. */
void config_read_authority_type(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	(void)r;
	(void)f;
	(void)n;
	(void)target;
}

static const struct config_authority_kind *find_kind(struct config_reader *r, yaml_node_t *type)
{
	const char *names[ARRAY_LEN(KINDS)], *text = config_yaml_text(type);
	char what[128];
	for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
		names[i] = KINDS[i].name;
		if (strcmp(text, KINDS[i].name) == 0)
			return &KINDS[i];
	}
	struct buf hint = BUF_INIT;
	config_suggest(text, names, ARRAY_LEN(KINDS), &hint);
	config_yaml_error(&r->yaml, type, "%s.type is %s, which this leafcast does not have%s", config_path(r),
		config_yaml_describe(type, what, sizeof what), buf_text(&hint));
	buf_free(&hint);
	return NULL;
}

static struct authority_def *add_authority(struct config_reader *r, const char *name)
{
	struct definitions *d = r->config->definitions;
	d->authorities = mem_realloc(d->authorities, (d->authority_count + 1) * sizeof(*d->authorities));
	struct authority_def *a = &d->authorities[d->authority_count++];
	memset(a, 0, sizeof *a);
	a->name = mem_strdup(name);
	return a;
}

/* One that cannot be read is known by its name all the same: what refers to it is not wrong for that. */
static void read_authority(struct config_reader *r, const char *name, yaml_node_t *key, yaml_node_t *n, void *arg)
{
	struct authority_def *a = add_authority(r, name);
	(void)key;
	(void)arg;
	yaml_node_t *type = n->type == YAML_MAPPING_NODE ? config_yaml_get(&r->yaml, n, "type", NULL) : NULL;
	const struct config_authority_kind *k = type ? find_kind(r, type) : &KINDS[0];
	if (!k)
		return;
	a->type = k->type;
	if (fields_read(r, k->fields, n, a))
		k->check(r, n, a);
}

void config_read_authorities(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	(void)target;
	config_each_name(r, n, f->takes, read_authority, NULL);
}

void config_add_default_authority(struct config_reader *r)
{
	struct authority_def *a = add_authority(r, "builtin");
	a->type = AUTHORITY_BUILTIN;
	fields_init(&CONFIG_BUILTIN_FIELDS, a);
}

static struct config_names authority_names(const struct config_reader *r)
{
	const struct definitions *d = r->config->definitions;
	return config_names_new("authority", d->authorities, d->authority_count, sizeof(*d->authorities));
}

char *config_read_authority(struct config_reader *r, yaml_node_t *n)
{
	struct config_names names = authority_names(r);
	char *name = config_reference_to(r, n, &names);
	config_names_done(&names);
	return name;
}

struct authority_list {
	char **list;
	size_t count;
};

static void read_listed(struct config_reader *r, yaml_node_t *item, size_t index, void *arg)
{
	struct authority_list *l = arg;
	char *name = config_read_authority(r, item);
	(void)index;
	if (!name)
		return;
	for (size_t i = 0; i < l->count; i++) {
		if (strcmp(l->list[i], name) != 0)
			continue;
		config_yaml_error(
			&r->yaml, item, "%s is \"%s\", which is in the list already; keep one", config_path(r), name);
		free(name);
		return;
	}
	l->list = mem_realloc(l->list, (l->count + 1) * sizeof(*l->list));
	l->list[l->count++] = name;
}

/* More than anybody has, and few enough that searching the list for duplicates costs nothing. */
enum { LISTED_MAX = 64 };

void config_read_authority_list(struct config_reader *r, yaml_node_t *n, char ***ret, size_t *ret_count)
{
	static const char takes[] = "a list of 1 to 64 authorities";
	struct authority_list l = {NULL, 0};
	size_t items =
		n->type == YAML_SEQUENCE_NODE ? (size_t)(n->data.sequence.items.top - n->data.sequence.items.start) : 0;
	if (n->type == YAML_SEQUENCE_NODE && (items == 0 || items > LISTED_MAX))
		config_yaml_error(&r->yaml, n, "%s is a list of %zu; it takes %s", config_path(r), items, takes);
	else
		(void)config_each_item(r, n, takes, read_listed, &l);
	*ret = l.list;
	*ret_count = l.count;
}
