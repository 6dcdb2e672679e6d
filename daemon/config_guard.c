#include "daemon/config_guard.h"
#include <string.h>
#include <yaml.h>
#include "base/mem.h"
#include "base/text.h"
#include "daemon/config_errors.h"
#include "daemon/config_yaml.h"

struct guard {
	const unsigned char *text;
	size_t len;
	struct config_errors *errors;
	int depth;
	int documents;
	bool failed; /* an error was added */
	bool ended;  /* no use in reading on */
};

static void refuse(struct guard *g, yaml_mark_t at, const char *what)
{
	config_errors_add(g->errors, at.line + 1, at.column + 1, "%s", what);
	g->failed = true;
}

/* Line and column of a byte, both from 1; a column is a character. */
static void place(const struct guard *g, size_t offset, size_t *ret_line, size_t *ret_column)
{
	*ret_line = *ret_column = 1;
	for (size_t i = 0; i < offset && i < g->len; i++) {
		if (g->text[i] == '\n') {
			++*ret_line;
			*ret_column = 1;
		} else if ((g->text[i] & 0xc0) != 0x80) {
			++*ret_column;
		}
	}
}

static void refuse_byte(struct guard *g, size_t offset, const char *what)
{
	size_t line, column;
	place(g, offset, &line, &column);
	config_errors_add(g->errors, line, column, "%s", what);
	g->failed = true;
}

/* The first byte that does not begin a well-formed character; the length when there is none. */
static size_t first_bad_byte(const struct guard *g)
{
	size_t at = 0;
	while (at < g->len) {
		size_t len = 1;
		while (len <= 4 && at + len <= g->len && !text_is_utf8(g->text + at, len))
			len++;
		if (len > 4 || at + len > g->len)
			break;
		at += len;
	}
	return at;
}

static bool check_bytes(struct guard *g)
{
	const unsigned char *nul = g->len ? memchr(g->text, 0, g->len) : NULL;
	if (nul)
		refuse_byte(g, (size_t)(nul - g->text), "a NUL byte; a config is text");
	size_t bad = first_bad_byte(g);
	if (bad < g->len)
		refuse_byte(g, bad, "bytes that are not UTF-8; save the file as UTF-8");
	return !g->failed;
}

static const char *hint(const struct guard *g, const yaml_parser_t *p)
{
	size_t at = p->problem_mark.index;
	if (at < g->len && g->text[at] == '\t')
		return "YAML is indented with spaces, not with tabs";
	return "a text that holds any of {}[],:#&*!|>%@` needs double quotes";
}

/* libyaml's own words name the place well; its advice is missing. */
static void refuse_syntax(struct guard *g, const yaml_parser_t *p)
{
	const char *problem = p->problem ? p->problem : "unknown problem";
	g->failed = true;
	if (p->error == YAML_READER_ERROR) {
		refuse_byte(g, p->problem_offset, "a character that YAML does not allow; remove it");
		return;
	}
	config_errors_add(g->errors, p->problem_mark.line + 1, p->problem_mark.column + 1, "not YAML: %s%s%s; %s",
		problem, p->context ? ", " : "", p->context ? p->context : "", hint(g, p));
}

static void check_properties(struct guard *g, const yaml_event_t *e, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor)
		refuse(g, e->start_mark, "anchors (\"&\") are not taken; write out what is meant");
	if (tag)
		refuse(g, e->start_mark, "tags (\"!\") are not taken; a text that begins with \"!\" needs quotes");
}

static void descend(struct guard *g, const yaml_event_t *e)
{
	if (++g->depth <= CONFIG_DEPTH_MAX)
		return;
	config_errors_add(g->errors, e->start_mark.line + 1, e->start_mark.column + 1,
		"nested deeper than %d; no config needs that", CONFIG_DEPTH_MAX);
	g->failed = g->ended = true;
}

static void look(struct guard *g, const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (++g->documents == 2) {
			refuse(g, e->start_mark, "a second document (\"---\"); a config is one document");
			g->ended = true;
		}
		break;
	case YAML_ALIAS_EVENT:
		refuse(g, e->start_mark, "aliases (\"*\") are not taken; a text that begins with \"*\" needs quotes");
		break;
	case YAML_SCALAR_EVENT:
		check_properties(g, e, e->data.scalar.anchor, e->data.scalar.tag);
		if (memchr(e->data.scalar.value, 0, e->data.scalar.length + 1) !=
			e->data.scalar.value + e->data.scalar.length)
			refuse(g, e->start_mark, "a text with a NUL in it; remove the NUL");
		break;
	case YAML_SEQUENCE_START_EVENT:
		check_properties(g, e, e->data.sequence_start.anchor, e->data.sequence_start.tag);
		descend(g, e);
		break;
	case YAML_MAPPING_START_EVENT:
		check_properties(g, e, e->data.mapping_start.anchor, e->data.mapping_start.tag);
		descend(g, e);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		g->depth--;
		break;
	case YAML_STREAM_END_EVENT:
		g->ended = true;
		break;
	default:
		break;
	}
}

bool config_guard(const void *text, size_t len, struct config_errors *errors)
{
	struct guard g = {text, len, errors, 0, 0, false, false};
	yaml_parser_t parser;
	yaml_event_t event;
	if (!check_bytes(&g))
		return false;
	invariant(yaml_parser_initialize(&parser));
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, text, len);
	while (!g.ended) {
		if (!yaml_parser_parse(&parser, &event)) {
			refuse_syntax(&g, &parser);
			break;
		}
		look(&g, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return !g.failed;
}
