/* daemon/cli/cmd_versions.c - leafcast versions, rollback, pin, unpin */
#include <stdio.h>
#include "base/mem.h"
#include "base/text.h"
#include "daemon/cli/internal.h"

static struct fault *call(const struct cli_input *in, const char *path, json_t **ret)
{
	json_t *body = json_pack("{s:s}", "name", in->names[0]);
	if (in->name_count > 1)
		(void)json_object_set_new(body, "version", json_string(in->names[1]));
	struct fault *f = client_call(in, path, body, false, ret);
	json_decref(body);
	return f;
}

static struct fault *run_versions(const struct cli_input *in)
{
	static const char *const heads[] = {"SECRET", "VERSION", "EXPIRES", "STATE"};
	json_t *o = NULL, *v;
	size_t i;
	TRY(call(in, "/v1/versions", &o));
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	json_array_foreach(json_object_get(o, "versions"), i, v)
	{
		AUTO(mem_freep) char *expires = relative_time(v, "not_after", text_or_dash(o, "now"));
		const char *state = !json_is_true(json_object_get(v, "current")) ? "earlier"
				    : json_is_true(json_object_get(v, "pinned")) ? "served, pinned"
										 : "served";
		const char *cells[] = {text_or_dash(v, "entry"), text_or_dash(v, "version"), expires, state};
		table_add(t, cells);
	}
	table_print(t);
	table_free(t);
	json_decref(o);
	return NULL;
}

static struct fault *order(const struct cli_input *in, const char *path, const char *what)
{
	json_t *o = NULL;
	TRY(call(in, path, &o));
	AUTO(mem_freep) char *safe = text_escaped(in->names[0]);
	(void)printf("%s: %s\n", safe, what);
	client_say_unstored(o);
	json_decref(o);
	return NULL;
}

static struct fault *run_rollback(const struct cli_input *in)
{
	return order(in, "/v1/rollback",
		"rolled back; every worker serves the earlier version. A certificate that leafcast issues is pinned "
		"now:\n`leafcast rotate` makes a new one, `leafcast unpin` lets its renewal come by itself again");
}

static struct fault *run_pin(const struct cli_input *in)
{
	return order(in, "/v1/pin", "pinned; it is renewed in its last fifth of life, or by `leafcast rotate`");
}

static struct fault *run_unpin(const struct cli_input *in)
{
	return order(in, "/v1/unpin", "unpinned; it is renewed by its profile again");
}

const struct cli_command cli_versions = {
	.name = "versions",
	.arguments = "NAME",
	.summary = "list the versions of a secret that can be served",
	.text = "Lists the version that is served and the earlier ones that `leafcast rollback` can go back to, oldest "
		"first.\n\n"
		"example: leafcast versions web-cert",
	.names_min = 1,
	.names_max = 1,
	.run = run_versions,
};
const struct cli_command cli_rollback = {
	.name = "rollback",
	.arguments = "NAME [VERSION]",
	.summary = "serve an earlier version of a secret again",
	.text = "Serves the latest earlier version that is still valid, or the one whose id begins with VERSION, and "
		"returns "
		"when every\n"
		"worker serves it. Open connections stay. It is refused when its anchor is in no bundle any more.\n\n"
		"example: leafcast rollback web-cert",
	.names_min = 1,
	.names_max = 2,
	.run = run_rollback,
};
const struct cli_command cli_pin = {
	.name = "pin",
	.arguments = "NAME",
	.summary = "keep the version that is served from being renewed",
	.text = "A pinned version is renewed in its last fifth of life all the same: a pin lets nothing expire.\n\n"
		"example: leafcast pin web-cert",
	.names_min = 1,
	.names_max = 1,
	.run = run_pin,
};
const struct cli_command cli_unpin = {
	.name = "unpin",
	.arguments = "NAME",
	.summary = "let a pinned version be renewed again",
	.text = "example: leafcast unpin web-cert",
	.names_min = 1,
	.names_max = 1,
	.run = run_unpin,
};
