/* daemon/cli/cmd_inventory.c - leafcast inventory: every version, as a table, JSON or CSV. */
#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/cli/internal.h"

enum { OPTION_JSON, OPTION_CSV };

static bool is_shown(const json_t *v, const char *name)
{
	return !name || strcmp(text_or_dash(v, "name"), name) == 0 || strcmp(text_or_dash(v, "entry"), name) == 0;
}

/* A list of texts, or of objects by one of their texts. The caller owns it. */
static char *join(const json_t *list, const char *key)
{
	struct buf b = BUF_INIT;
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item)
	{
		const char *text = key ? text_or_dash(item, key) : json_string_value(item);
		buf_printf(&b, "%s%s", i ? " " : "", text ? text : "");
	}
	char *text = mem_strdup(buf_text(&b));
	buf_free(&b);
	return text;
}

/* Of a certificate its own; of a bundle those of its anchors. */
static char *fact(const json_t *v, const char *key)
{
	const json_t *anchors = json_object_get(v, "anchors");
	const char *text = json_string_value(json_object_get(v, key));
	return anchors ? join(anchors, key) : mem_strdup(text ? text : "");
}

static char *number(const json_t *v, const char *key)
{
	return mem_printf("%lld", (long long)json_integer_value(json_object_get(v, key)));
}

/* --- table --- */

static char *shortened(char *text, size_t len)
{
	if (strlen(text) > len)
		text[len] = 0;
	return text;
}

static void add_row(struct table *t, const json_t *v, const char *now)
{
	AUTO(mem_freep) char *version = shortened(mem_strdup(text_or_dash(v, "version")), 12);
	AUTO(mem_freep) char *serial = shortened(fact(v, "serial"), 40);
	AUTO(mem_freep) char *sha256 = shortened(fact(v, "sha256"), 16);
	AUTO(mem_freep) char *expires = relative_time(v, "not_after", now);
	AUTO(mem_freep) char *subscribers = number(v, "subscribers");
	AUTO(mem_freep) char *holders = number(v, "holders");
	AUTO(mem_freep) char *acked = relative_time(v, "last_ack_at", now);
	AUTO(mem_freep) char *sans = join(json_object_get(v, "sans"), NULL);
	const char *cells[] = {text_or_dash(v, "entry"), version, text_or_dash(v, "state"),
		text_or_dash(v, "authority"), serial, sha256, expires, subscribers, holders, acked, sans};
	table_add(t, cells);
}

static size_t print_table(const json_t *o, const char *name)
{
	static const char *const heads[] = {"SECRET", "VERSION", "STATE", "AUTHORITY", "SERIAL", "SHA-256", "EXPIRES",
		"SUBSCRIBERS", "HOLDERS", "LAST ACK", "SANS"};
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	size_t i, shown = 0;
	json_t *v;
	json_array_foreach(json_object_get(o, "versions"), i, v)
	{
		if (!is_shown(v, name))
			continue;
		add_row(t, v, text_or_dash(o, "now"));
		shown++;
	}
	table_print(t);
	table_free(t);
	return shown;
}

/* --- CSV (RFC 4180) --- */

/* Quoted; a first character that a spreadsheet takes for a formula gets an apostrophe before it. */
static void print_cell(const char *text, bool is_last)
{
	(void)putchar('"');
	if (*text && strchr("=+-@", *text))
		(void)putchar('\'');
	for (; *text; text++) {
		if (*text == '"')
			(void)putchar('"');
		(void)putchar(*text);
	}
	(void)fputs(is_last ? "\"\r\n" : "\",", stdout);
}

enum column_type { COLUMN_TEXT, COLUMN_FACT, COLUMN_NUMBER, COLUMN_LIST };
static const struct column {
	const char *name;
	enum column_type type;
} COLUMNS[] = {
	{"entry", COLUMN_TEXT},
	{"name", COLUMN_TEXT},
	{"version", COLUMN_TEXT},
	{"kind", COLUMN_TEXT},
	{"state", COLUMN_TEXT},
	{"authority", COLUMN_TEXT},
	{"profile", COLUMN_TEXT},
	{"serial", COLUMN_FACT},
	{"sha256", COLUMN_FACT},
	{"key_type", COLUMN_FACT},
	{"sans", COLUMN_LIST},
	{"not_before", COLUMN_TEXT},
	{"not_after", COLUMN_TEXT},
	{"received_at", COLUMN_TEXT},
	{"stored_at", COLUMN_TEXT},
	{"subscribers", COLUMN_NUMBER},
	{"holders", COLUMN_NUMBER},
	{"last_ack_at", COLUMN_TEXT},
	{"damage", COLUMN_TEXT},
};

static char *cell_of(const json_t *v, const struct column *c)
{
	const char *text = json_string_value(json_object_get(v, c->name));
	switch (c->type) {
	case COLUMN_TEXT:
		break;
	case COLUMN_FACT:
		return fact(v, c->name);
	case COLUMN_NUMBER:
		return number(v, c->name);
	case COLUMN_LIST:
		return join(json_object_get(v, c->name), NULL);
	}
	return mem_strdup(text ? text : "");
}

static size_t print_csv(const json_t *o, const char *name)
{
	size_t i, shown = 0;
	json_t *v;
	for (size_t k = 0; k < ARRAY_LEN(COLUMNS); k++)
		print_cell(COLUMNS[k].name, k + 1 == ARRAY_LEN(COLUMNS));
	json_array_foreach(json_object_get(o, "versions"), i, v)
	{
		if (!is_shown(v, name))
			continue;
		for (size_t k = 0; k < ARRAY_LEN(COLUMNS); k++) {
			AUTO(mem_freep) char *cell = cell_of(v, &COLUMNS[k]);
			AUTO(mem_freep) char *safe = text_escaped(cell);
			print_cell(safe, k + 1 == ARRAY_LEN(COLUMNS));
		}
		shown++;
	}
	return shown;
}

static size_t keep_shown(json_t *o, const char *name)
{
	json_t *list = json_object_get(o, "versions");
	for (size_t i = json_array_size(list); i > 0; i--)
		if (!is_shown(json_array_get(list, i - 1), name))
			(void)json_array_remove(list, i - 1);
	return json_array_size(list);
}

static struct fault *run(const struct cli_input *in)
{
	json_t *o = NULL;
	const char *name = in->name_count ? in->names[0] : NULL;
	if (in->options[OPTION_JSON] && in->options[OPTION_CSV])
		return fault_new(FAULT_INVALID, "--json or --csv, not both");
	TRY(client_call(in, "/v1/inventory", NULL, false, &o));
	struct fault *f = NULL;
	size_t shown = in->options[OPTION_JSON]	 ? keep_shown(o, name)
		       : in->options[OPTION_CSV] ? print_csv(o, name)
						 : print_table(o, name);
	if (in->options[OPTION_JSON])
		f = print_json(o, JSON_INDENT(2));
	json_decref(o);
	return f ? f : shown || !name ? NULL : fault_new(FAULT_NOT_FOUND, "nothing is stored of a secret %s", name);
}

const struct cli_command cli_inventory = {
	.name = "inventory",
	.arguments = "[NAME]",
	.summary = "list every stored version: serial, names, validity, who holds it",
	.text = "Lists every version that is stored, earlier ones and our own certificates too, by secret, oldest "
		"first. HOLDERS are open\n"
		"streams that ACKed this very version, SUBSCRIBERS those that ask for the secret.\n\n"
		"example: leafcast inventory --csv > certificates.csv",
	.options = {[OPTION_JSON] = {"json", NULL, "everything, for machines"},
		[OPTION_CSV] = {"csv", NULL, "the same as lines, for a spreadsheet"}},
	.names_max = 1,
	.run = run,
};
