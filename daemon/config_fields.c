/* daemon/config_fields.c - the strict reader of tables. */
#include "daemon/config_fields.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include "base/credential.h"
#include "base/io/paths.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/duration.h"

size_t config_enter(struct config_reader *r, const char *fmt, ...)
{
	size_t mark = r->path.len;
	va_list ap;
	va_start(ap, fmt);
	AUTO(mem_freep) char *text = mem_vprintf(fmt, ap);
	va_end(ap);
	buf_add_text(&r->path, mark ? text : text + (*text == '.'));
	return mark;
}

void config_leave(struct config_reader *r, size_t mark)
{
	buf_truncate(&r->path, mark);
}

const char *config_path(const struct config_reader *r)
{
	return r->path.len ? buf_text(&r->path) : "the config";
}

void config_refuse(struct config_reader *r, const yaml_node_t *n, const char *takes)
{
	char what[128];
	config_yaml_error(&r->yaml, n, "%s is %s; it takes %s", config_path(r),
		config_yaml_describe(n, what, sizeof what), takes);
}

static void add_range(const struct field *f, struct buf *ret)
{
	char from[48], to[48];
	switch (f->type) {
	case FIELD_DURATION:
		buf_printf(ret, "a duration from %s to %s, such as \"30s\"", duration_text(f->min, from, sizeof from),
			duration_text(f->max, to, sizeof to));
		break;
	case FIELD_PERCENT:
		buf_printf(ret, "a percentage from %lld%% to %lld%%", (long long)f->min, (long long)f->max);
		break;
	default:
		buf_printf(ret, "a whole number from %lld to %lld", (long long)f->min, (long long)f->max);
	}
}

/* The valid texts of a choice, one after the other; NULL behind the last. */
static const char *choice(const struct field *f, size_t i)
{
	return f->type == FIELD_CHOICE ? f->choices[i].text : key_type_name((enum key_type)(i + 1));
}

void field_takes(const struct field *f, struct buf *ret)
{
	switch (f->type) {
	case FIELD_TEXT:
		buf_printf(ret, "a text of 1 to %lld bytes", (long long)f->max);
		break;
	case FIELD_PATH:
		buf_printf(ret, "an absolute path of at most %lld bytes", (long long)f->max);
		break;
	case FIELD_CREDENTIAL:
		buf_add_text(ret, "an absolute path, or the name of a systemd credential");
		break;
	case FIELD_MODE:
		buf_add_text(ret, "a file mode as four octal digits in quotes, such as \"0660\"");
		break;
	case FIELD_CHOICE:
	case FIELD_KEY_TYPE:
		buf_add_text(ret, "one of ");
		for (size_t i = 0; choice(f, i); i++)
			buf_printf(ret, "%s%s", i ? ", " : "", choice(f, i));
		break;
	case FIELD_GROUP:
		buf_add_text(ret, "a mapping with ");
		for (size_t i = 0; i < field_group(f)->count; i++)
			buf_printf(ret, "%s%s", i ? ", " : "", field_group(f)->fields[i].key);
		break;
	case FIELD_OTHER:
		buf_add_text(ret, f->takes);
		break;
	default:
		add_range(f, ret);
	}
}

static bool parse_number(const char *text, int64_t *ret)
{
	size_t digits = strspn(text, "0123456789");
	if (digits == 0 || digits > 15 || text[digits] || (digits > 1 && *text == '0'))
		return false;
	*ret = (int64_t)strtoll(text, NULL, 10);
	return true;
}

static bool parse_percent(const char *text, int64_t *ret)
{
	AUTO(mem_freep) char *digits = mem_strdup(text);
	size_t len = strlen(digits);
	if (len < 2 || digits[len - 1] != '%')
		return false;
	digits[len - 1] = 0;
	return parse_number(digits, ret);
}

static void put_number(const struct field *f, int64_t value, void *target)
{
	unsigned char *at = (unsigned char *)target + f->offset;
	uint32_t narrow = (uint32_t)value;
	invariant(f->size == sizeof narrow || f->size == sizeof value);
	if (f->size == sizeof narrow)
		memcpy(at, &narrow, sizeof narrow);
	else
		memcpy(at, &value, sizeof value);
}

static bool put_in_range(const struct field *f, bool parsed, int64_t value, void *target)
{
	if (!parsed || value < f->min || value > f->max)
		return false;
	put_number(f, value, target);
	return true;
}

static bool put_text(const struct field *f, const char *text, void *target)
{
	size_t len = strlen(text);
	if (len == 0 || len > (size_t)f->max || (f->type == FIELD_PATH && *text != '/') ||
		(f->type == FIELD_CREDENTIAL && !paths_is_credential(text)))
		return false;
	char *copy = mem_strdup(text);
	memcpy((unsigned char *)target + f->offset, &copy, sizeof copy);
	return true;
}

static bool put_mode(const struct field *f, const char *text, void *target)
{
	if (strlen(text) != 4 || *text != '0' || strspn(text, "01234567") != 4)
		return false;
	put_number(f, (int64_t)strtol(text, NULL, 8), target);
	return true;
}

static bool put_choice(const struct field *f, const char *text, void *target)
{
	for (const struct field_choice *c = f->choices; c->text; c++) {
		if (strcmp(c->text, text) != 0)
			continue;
		put_number(f, c->value, target);
		return true;
	}
	return false;
}

static bool put_key_type(const struct field *f, const char *text, void *target)
{
	enum key_type type;
	if (!key_type_parse(text, &type))
		return false;
	put_number(f, (int64_t)type, target);
	return true;
}

/* Set the value from its text; false: it takes something else. */
static bool put(const struct field *f, const char *text, void *target)
{
	int64_t n = 0;
	bool parsed;
	switch (f->type) {
	case FIELD_NUMBER:
		parsed = parse_number(text, &n);
		return put_in_range(f, parsed, n, target);
	case FIELD_DURATION:
		parsed = duration_parse(text, &n);
		return put_in_range(f, parsed, n, target);
	case FIELD_PERCENT:
		parsed = parse_percent(text, &n);
		return put_in_range(f, parsed, n, target);
	case FIELD_TEXT:
	case FIELD_PATH:
	case FIELD_CREDENTIAL:
		return put_text(f, text, target);
	case FIELD_MODE:
		return put_mode(f, text, target);
	case FIELD_CHOICE:
		return put_choice(f, text, target);
	case FIELD_KEY_TYPE:
		return put_key_type(f, text, target);
	case FIELD_GROUP:
	case FIELD_OTHER:
		break;
	}
	return false;
}

void fields_init(const struct field_set *set, void *target)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct field *f = &set->fields[i];
		if (f->type == FIELD_GROUP)
			fields_init(field_group(f), target);
		else if (f->initial && f->type != FIELD_OTHER)
			invariant(put(f, f->initial, target));
	}
}

static void refuse_choice(struct config_reader *r, const struct field *f, const yaml_node_t *n)
{
	const char *texts[32];
	size_t count = 0;
	char what[128];
	for (; count < ARRAY_LEN(texts) && choice(f, count); count++)
		texts[count] = choice(f, count);
	struct buf hint = BUF_INIT;
	config_suggest(config_yaml_text(n), texts, count, &hint);
	config_yaml_error(
		&r->yaml, n, "%s is %s%s", config_path(r), config_yaml_describe(n, what, sizeof what), buf_text(&hint));
	buf_free(&hint);
}

static void refuse(struct config_reader *r, const struct field *f, const yaml_node_t *n)
{
	bool chooses = f->type == FIELD_CHOICE || f->type == FIELD_KEY_TYPE;
	if (chooses && n->type == YAML_SCALAR_NODE && !config_yaml_is_nothing(n)) {
		refuse_choice(r, f, n);
		return;
	}
	struct buf takes = BUF_INIT;
	field_takes(f, &takes);
	config_refuse(r, n, buf_text(&takes));
	buf_free(&takes);
}

static void read_field(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	size_t mark = config_enter(r, ".%s", f->key);
	if (f->type == FIELD_OTHER)
		f->read(r, f, n, target);
	else if (f->type == FIELD_GROUP)
		(void)fields_read(r, field_group(f), n, target);
	else if (n->type != YAML_SCALAR_NODE || config_yaml_is_nothing(n) || !put(f, config_yaml_text(n), target))
		refuse(r, f, n);
	config_leave(r, mark);
}

static void set_default(struct config_reader *r, const struct field *f, const yaml_node_t *map, void *target)
{
	if (f->required)
		config_yaml_error(&r->yaml, map, "\"%s\" is missing in %s; it is %s", f->key, config_path(r), f->help);
	else if (f->type == FIELD_GROUP)
		fields_init(field_group(f), target);
	else if (f->initial && f->type != FIELD_OTHER)
		invariant(put(f, f->initial, target));
}

static void check_known(struct config_reader *r, const struct field_set *set, const yaml_node_t *key)
{
	const char *keys[32], *text = config_yaml_text(key);
	invariant(set->count <= ARRAY_LEN(keys));
	for (size_t i = 0; i < set->count; i++) {
		keys[i] = set->fields[i].key;
		if (strcmp(keys[i], text) == 0)
			return;
	}
	if (key->type != YAML_SCALAR_NODE || strcmp(text, "<<") == 0)
		return; /* refused when the tree was checked */
	struct buf hint = BUF_INIT;
	config_suggest(text, keys, set->count, &hint);
	config_yaml_error(&r->yaml, key, "unknown key \"%.*s\" in %s%s", 100, text, config_path(r), buf_text(&hint));
	buf_free(&hint);
}

bool fields_read(struct config_reader *r, const struct field_set *set, yaml_node_t *n, void *target)
{
	if (n->type != YAML_MAPPING_NODE) {
		const struct field as_group = {.type = FIELD_GROUP, .group = set};
		fields_init(set, target);
		refuse(r, &as_group, n);
		return false;
	}
	for (const yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++)
		check_known(r, set, config_yaml_node(&r->yaml, p->key));
	for (size_t i = 0; i < set->count; i++) {
		yaml_node_t *value = config_yaml_get(&r->yaml, n, set->fields[i].key, NULL);
		if (value)
			read_field(r, &set->fields[i], value, target);
		else
			set_default(r, &set->fields[i], n, target);
	}
	return true;
}

bool config_each_item(struct config_reader *r, yaml_node_t *n, const char *takes,
	void (*fn)(struct config_reader *r, yaml_node_t *item, size_t index, void *arg), void *arg)
{
	if (n->type != YAML_SEQUENCE_NODE) {
		config_refuse(r, n, takes);
		return false;
	}
	size_t index = 0;
	for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++, index++) {
		size_t mark = config_enter(r, "[%zu]", index);
		fn(r, config_yaml_node(&r->yaml, *i), index, arg);
		config_leave(r, mark);
	}
	return true;
}

void config_each_name(struct config_reader *r, yaml_node_t *n, const char *takes,
	void (*fn)(struct config_reader *r, const char *name, yaml_node_t *key, yaml_node_t *value, void *arg),
	void *arg)
{
	if (n->type != YAML_MAPPING_NODE) {
		config_refuse(r, n, takes);
		return;
	}
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
		yaml_node_t *key = config_yaml_node(&r->yaml, p->key);
		const char *name = config_yaml_text(key);
		if (key->type != YAML_SCALAR_NODE)
			continue; /* refused when the tree was checked */
		if (!text_is_name(name, strlen(name))) {
			config_yaml_error(&r->yaml, key, "a name in %s has %zu bytes; a name has 1 to %zu",
				config_path(r), strlen(name), TEXT_NAME_MAX);
			continue;
		}
		size_t mark = config_enter(r, ".%s", name);
		fn(r, name, key, config_yaml_node(&r->yaml, p->value), arg);
		config_leave(r, mark);
	}
}
