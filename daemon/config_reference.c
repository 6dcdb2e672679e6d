/* daemon/config_reference.c - the tables printed for people. */
#include "daemon/config.h"
#include "daemon/config_parts.h"

/* "|" would end a cell of a Markdown table. */
static void add_cell(struct buf *ret, const char *text)
{
	for (const char *c = text; *c; c++) {
		if (*c == '|')
			buf_add_text(ret, "\\");
		buf_add(ret, c, 1);
	}
}

static void add_default(const struct field *f, struct buf *ret)
{
	if (f->required)
		buf_add_text(ret, "required");
	else if (f->initial)
		buf_printf(ret, "`%s`", f->initial);
	else
		add_cell(ret, f->otherwise ? f->otherwise : "none");
}

static void add_row(const char *path, const struct field *f, struct buf *ret)
{
	struct buf takes = BUF_INIT;
	field_takes(f, &takes);
	buf_printf(ret, "| `%s%s%s` | ", path, *path ? "." : "", f->key);
	add_cell(ret, buf_text(&takes));
	buf_add_text(ret, " | ");
	add_default(f, ret);
	buf_add_text(ret, " | ");
	add_cell(ret, f->help);
	buf_add_text(ret, f->restart ? " (restart) |\n" : " |\n");
	buf_free(&takes);
}

/* Depth is that of the tables, which is small and fixed. */
static void add_set(const struct field_set *set, struct buf *ret)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct field *f = &set->fields[i];
		const struct field_set *inner = field_group(f);
		if (f->key && (!inner || f->type == FIELD_OTHER))
			add_row(set->path, f, ret);
		if (inner)
			add_set(inner, ret);
	}
}

void config_reference(struct buf *ret)
{
	buf_add_text(ret, "| key | takes | default | meaning |\n|---|---|---|---|\n");
	add_set(config_root_fields(), ret);
}
