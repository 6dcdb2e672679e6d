/* daemon/config_yaml.c - libyaml's tree, and what it does not refuse by itself. */
#include "daemon/config_yaml.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "base/table.h"
#include "base/text.h"
#include "daemon/config_errors.h"
#include "daemon/config_guard.h"

yaml_node_t *config_yaml_root(struct config_yaml *y)
{
	return yaml_document_get_root_node(&y->document);
}

yaml_node_t *config_yaml_node(struct config_yaml *y, int index)
{
	return yaml_document_get_node(&y->document, index);
}

const char *config_yaml_text(const yaml_node_t *n)
{
	return n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : "";
}

bool config_yaml_is_nothing(const yaml_node_t *n)
{
	const char *text = config_yaml_text(n);
	return n->type == YAML_SCALAR_NODE && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

const char *config_yaml_describe(const yaml_node_t *n, char *ret, size_t size)
{
	if (n->type == YAML_SEQUENCE_NODE)
		return "a list";
	if (n->type == YAML_MAPPING_NODE)
		return "a mapping";
	if (config_yaml_is_nothing(n))
		return "nothing";
	const char *text = config_yaml_text(n);
	size_t len = strlen(text), cut = len > 60 ? 57 : len;
	while (cut < len && ((unsigned char)text[cut] & 0xc0) == 0x80)
		cut--; /* not within a character */
	(void)snprintf(ret, size, "\"%.*s%s\"", (int)cut, text, cut < len ? "..." : "");
	return ret;
}

void config_yaml_error(struct config_yaml *y, const yaml_node_t *at, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	AUTO(mem_freep) char *text = mem_vprintf(fmt, ap);
	va_end(ap);
	config_errors_add(y->errors, at->start_mark.line + 1, at->start_mark.column + 1, "%s", text);
}

yaml_node_t *config_yaml_get(struct config_yaml *y, const yaml_node_t *map, const char *key, yaml_node_t **ret_key)
{
	for (const yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		yaml_node_t *k = config_yaml_node(y, p->key);
		if (strcmp(config_yaml_text(k), key) != 0)
			continue;
		if (ret_key)
			*ret_key = k;
		return config_yaml_node(y, p->value);
	}
	return NULL;
}

struct seen_key {
	UT_hash_handle hh;
	const yaml_node_t *node;
};

static void check_key(struct config_yaml *y, const yaml_node_t *key, struct seen_key **seen, struct seen_key *slot)
{
	const char *text = config_yaml_text(key);
	struct seen_key *first = NULL;
	if (key->type != YAML_SCALAR_NODE) {
		char what[128];
		config_yaml_error(y, key, "a key is %s; a key is a text", config_yaml_describe(key, what, sizeof what));
		return;
	}
	if (key->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strcmp(text, "<<") == 0) {
		config_yaml_error(y, key, "merge keys (\"<<\") are not taken; write out what is merged");
		return;
	}
	HASH_FIND(hh, *seen, text, strlen(text), first);
	if (first) {
		config_yaml_error(y, key, "key \"%s\" is there twice, first in line %zu; keep one of them", text,
			first->node->start_mark.line + 1);
		return;
	}
	slot->node = key;
	HASH_ADD_KEYPTR(hh, *seen, text, strlen(text), slot);
}

/* Duplicates are found by hash: a file has room for tens of thousands of keys in one mapping. */
static void check_keys(struct config_yaml *y, const yaml_node_t *map)
{
	size_t count = (size_t)(map->data.mapping.pairs.top - map->data.mapping.pairs.start);
	if (count == 0)
		return;
	struct seen_key *seen = NULL, *slots = mem_array(struct seen_key, count);
	for (size_t i = 0; i < count; i++)
		check_key(y, config_yaml_node(y, map->data.mapping.pairs.start[i].key), &seen, &slots[i]);
	HASH_CLEAR(hh, seen);
	free(slots);
}

static bool load(struct config_yaml *y, const void *text, size_t len)
{
	yaml_parser_t parser;
	invariant(yaml_parser_initialize(&parser));
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, text, len);
	y->loaded = yaml_parser_load(&parser, &y->document);
	yaml_parser_delete(&parser);
	return y->loaded;
}

bool config_yaml_load(struct config_yaml *y, const void *text, size_t len, struct config_errors *errors)
{
	memset(y, 0, sizeof *y);
	y->errors = errors;
	if (!config_guard(text, len, errors))
		return false;
	if (!load(y, text, len) || !config_yaml_root(y)) {
		config_errors_add(errors, 0, 0, "there is nothing in it; a config begins with \"listen:\"");
		return false;
	}
	for (yaml_node_t *n = y->document.nodes.start; n < y->document.nodes.top; n++)
		if (n->type == YAML_MAPPING_NODE)
			check_keys(y, n);
	return true;
}

void config_yaml_done(struct config_yaml *y)
{
	if (y->loaded)
		yaml_document_delete(&y->document);
	y->loaded = false;
}
