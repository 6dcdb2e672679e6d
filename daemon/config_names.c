/* daemon/config_names.c - references between parts of the config, and hints to whoever got one wrong. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/text.h"
#include "daemon/config_fields.h"

enum { SUGGEST_MAX = 16 };

void config_suggest(const char *word, const char *const *valid, size_t count, struct buf *ret)
{
	/* Any word is near to one of two letters. */
	const char *nearest = strlen(word) > 2 ? text_nearest(word, valid, count) : NULL;
	if (nearest)
		buf_printf(ret, "; did you mean \"%s\"?", nearest);
	buf_add_text(ret, nearest ? " There are: " : "; there are: ");
	for (size_t i = 0; i < count && i < SUGGEST_MAX; i++)
		buf_printf(ret, "%s%s", i ? ", " : "", valid[i]);
	if (count > SUGGEST_MAX)
		buf_printf(ret, " and %zu more", count - SUGGEST_MAX);
	if (count == 0)
		buf_add_text(ret, "none");
}

struct config_names config_names_new(const char *what, const void *first, size_t count, size_t stride)
{
	struct config_names n = {what, count ? mem_array(const char *, count) : NULL, count};
	for (size_t i = 0; i < count; i++)
		memcpy(&n.list[i], (const unsigned char *)first + i * stride, sizeof n.list[i]);
	return n;
}

void config_names_done(struct config_names *n)
{
	free(n->list);
	n->list = NULL;
}

char *config_reference_to(struct config_reader *r, yaml_node_t *n, const struct config_names *names)
{
	const char *text = config_yaml_text(n);
	for (size_t i = 0; n->type == YAML_SCALAR_NODE && i < names->count; i++)
		if (strcmp(names->list[i], text) == 0)
			return mem_strdup(text);
	struct buf hint = BUF_INIT;
	char what[128];
	config_suggest(text, names->list, names->count, &hint);
	config_yaml_error(&r->yaml, n, "%s is %s, and there is no such %s%s", config_path(r),
		config_yaml_describe(n, what, sizeof what), names->what, buf_text(&hint));
	buf_free(&hint);
	return NULL;
}
