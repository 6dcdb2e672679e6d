/* control/template.c - a SAN template as parts, each a piece of text or a variable, and its expansion for an entry.
 * What a value must look like to stand in a place: template_check.c. */
#include "control/template.h"
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "cache/entry.h"
#include "control/template_check.h"

/* Longest template, in bytes; more than any SAN may have. */
#define TEMPLATE_MAX ((size_t)2048)
enum { VARIABLES_MAX = VARIABLE_COUNT };

struct template
{
	enum san_type type;
	struct template_part *parts;
	size_t part_count;
	const struct template_variable *variables[VARIABLES_MAX]; /* each once */
	size_t variable_count;
};

static void add_part(struct template *t, const struct template_variable *variable, struct buf *text)
{
	t->parts = mem_realloc(t->parts, (t->part_count + 1) * sizeof(*t->parts));
	struct template_part *p = &t->parts[t->part_count++];
	p->variable = variable;
	p->text = variable ? NULL : buf_take_text(text);
}

static void note_variable(struct template *t, const struct template_variable *v)
{
	for (size_t i = 0; i < t->variable_count; i++)
		if (t->variables[i] == v)
			return;
	t->variables[t->variable_count++] = v;
}

/* "{name}" at text[at]; *ret_end is behind the brace. */
static struct fault *parse_variable(struct template *t, const char *text, size_t at, size_t *ret_end)
{
	size_t len = strcspn(text + at + 1, "{}");
	if (text[at + 1 + len] != '}')
		return fault_new(FAULT_INVALID,
			"column %zu: \"{\" without its \"}\"; a brace as such is written \"{{\"", at + 1);
	const struct template_variable *v = template_variable_find(text + at + 1, len);
	if (!v) {
		struct buf names = BUF_INIT;
		template_variable_list(&names);
		struct fault *f = fault_new(FAULT_INVALID, "column %zu: there is no variable {%.*s}; there are: %s",
			at + 1, (int)(len < 64 ? len : 64), text + at + 1, buf_text(&names));
		buf_free(&names);
		return f;
	}
	add_part(t, v, NULL);
	note_variable(t, v);
	*ret_end = at + len + 2;
	return NULL;
}

static struct fault *parse_parts(struct template *t, const char *text, struct buf *literal)
{
	for (size_t i = 0; text[i];) {
		char c = text[i];
		if ((c == '{' || c == '}') && text[i + 1] == c) {
			buf_add(literal, &c, 1);
			i += 2;
		} else if (c == '}') {
			return fault_new(FAULT_INVALID,
				"column %zu: \"}\" without its \"{\"; a brace as such is written \"}}\"", i + 1);
		} else if (c == '{') {
			if (literal->len)
				add_part(t, NULL, literal);
			TRY(parse_variable(t, text, i, &i));
		} else {
			buf_add(literal, &c, 1);
			i++;
		}
	}
	if (literal->len)
		add_part(t, NULL, literal);
	return NULL;
}

/* What it becomes for somebody must be a SAN of its type, so that a mistake shows when the config is read. */
static struct fault *check_example(const struct template *t)
{
	struct buf b = BUF_INIT;
	struct san_set set = {NULL, 0};
	for (size_t i = 0; i < t->part_count; i++)
		buf_add_text(&b, t->parts[i].variable ? template_variable_example(t->parts[i].variable, t->type)
						      : t->parts[i].text);
	struct fault *f = san_set_add(&set, t->type, buf_text(&b));
	san_set_free(&set);
	buf_free(&b);
	return f;
}

static void template_freep(struct template **t)
{
	template_free(*t);
	*t = NULL;
}

struct fault *template_parse(const char *text, enum san_type type, struct template **ret)
{
	size_t len = strlen(text);
	if (len == 0 || len > TEMPLATE_MAX)
		return fault_new(FAULT_INVALID, "column 1: a template has 1 to %zu bytes", TEMPLATE_MAX);
	AUTO(template_freep) struct template *t = mem_new(struct template);
	t->type = type;
	struct buf literal = BUF_INIT;
	struct fault *f = parse_parts(t, text, &literal);
	buf_free(&literal);
	TRY(f);
	TRY(template_check_places(t->parts, t->part_count, type));
	TRY(check_example(t));
	*ret = TAKE(t);
	return NULL;
}

size_t template_variable_count(const struct template *t)
{
	return t->variable_count;
}

const char *template_variable(const struct template *t, size_t i)
{
	return t->variables[i]->name;
}

/* The value of "name=value" among an entry's attributes. */
static const char *attribute_value(const struct entry_key *e, const char *name)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < entry_key_attribute_count(e); i++) {
		const char *a = entry_key_attribute(e, i);
		if (strncmp(a, name, len) == 0 && a[len] == '=')
			return a + len + 1;
	}
	return NULL;
}

static struct fault *expand_part(
	const struct template *t, const struct template_variable *v, const struct entry_key *e, struct buf *out)
{
	const char *value = attribute_value(e, v->name);
	if (!value)
		return fault_new(FAULT_NOT_FOUND, "%s has no {%s}", entry_key_text(e), v->name);
	if (!template_value_fits(v, value, t->type, t->part_count == 1))
		return fault_new(FAULT_DENIED, "the {%s} of %s cannot be %s", v->name, entry_key_text(e),
			template_place_text(v, t->type));
	buf_add_text(out, value);
	return NULL;
}

struct fault *template_expand(const struct template *t, const struct entry_key *e, char **ret)
{
	struct buf out = BUF_INIT;
	struct fault *f = NULL;
	for (size_t i = 0; i < t->part_count && !f; i++) {
		if (t->parts[i].variable)
			f = expand_part(t, t->parts[i].variable, e, &out);
		else
			buf_add_text(&out, t->parts[i].text);
	}
	if (!f)
		*ret = buf_take_text(&out);
	buf_free(&out);
	return f;
}

void template_free(struct template *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->part_count; i++)
		free(t->parts[i].text);
	free(t->parts);
	free(t);
}
