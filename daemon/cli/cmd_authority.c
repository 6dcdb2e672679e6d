/* daemon/cli/cmd_authority.c - leafcast authority list|test */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/text.h"
#include "daemon/cli/internal.h"

enum { OPTION_JSON, OPTION_SECRET };

/* --- list --- */

static void print_authorities(const json_t *list, const char *now)
{
	static const char *const heads[] = {
		"AUTHORITY", "TYPE", "STATE", "BREAKER", "ISSUING", "WAITING", "LOGIN ENDS", "LAST FAILURE"};
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	size_t i;
	json_t *a;
	json_array_foreach(list, i, a)
	{
		AUTO(mem_freep) char *issuing = mem_printf("%lld", number_of(a, "issuing"));
		AUTO(mem_freep) char *waiting = mem_printf("%lld", number_of(a, "waiting"));
		AUTO(mem_freep) char *login = relative_time(a, "login_ends", now);
		const char *cells[] = {text_or_dash(a, "name"), text_or_dash(a, "type"),
			json_is_true(json_object_get(a, "ready")) ? "ready" : text_or_dash(a, "error"),
			text_or_dash(a, "breaker"), issuing, waiting,
			json_is_null(json_object_get(a, "login_ends")) ? "-" : login, text_or_dash(a, "last_failure")};
		table_add(t, cells);
	}
	table_print(t);
	table_free(t);
}

static char *anchor_state(const json_t *anchor, const char *now)
{
	if (!json_is_null(json_object_get(anchor, "gone_since"))) {
		AUTO(mem_freep) char *gone = relative_time(anchor, "gone_since", now);
		return mem_printf("earlier, gone %s", gone);
	}
	return mem_strdup(json_is_null(json_object_get(anchor, "ready_since")) ? "not held by all" : "held by all");
}

static void print_anchors(const json_t *list, const char *now)
{
	static const char *const heads[] = {"AUTHORITY", "ROOT SHA-256", "SUBJECT", "ENDS", "KNOWN SINCE", "STATE"};
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	size_t i, k;
	json_t *a, *anchor;
	json_array_foreach(list, i, a){json_array_foreach(json_object_get(a, "anchors"), k, anchor){
		AUTO(mem_freep) char *ends = relative_time(anchor, "not_after", now);
	AUTO(mem_freep) char *since = relative_time(anchor, "since", now);
	AUTO(mem_freep) char *state = anchor_state(anchor, now);
	const char *cells[] = {text_or_dash(a, "name"), text_or_dash(anchor, "sha256"), text_or_dash(anchor, "subject"),
		ends, since, state};
	table_add(t, cells);
}
}
(void)putchar('\n');
table_print(t);
table_free(t);
}

static void print_waited(const json_t *list, const char *now)
{
	static const char *const heads[] = {"AUTHORITY", "WAITS FOR NODE", "IDENTITY", "BUNDLE", "WHY", "SINCE"};
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	size_t i, k;
	json_t *a, *w;
	bool any = false;
	json_array_foreach(list, i, a)
	{
		json_array_foreach(json_object_get(a, "waiting_for"), k, w)
		{
			AUTO(mem_freep) char *since = relative_time(w, "since", now);
			const char *cells[] = {text_or_dash(a, "name"), text_or_dash(w, "node"),
				text_or_dash(w, "identity"), text_or_dash(w, "bundle"), text_or_dash(w, "why"), since};
			table_add(t, cells);
			any = true;
		}
	}
	if (any)
		(void)putchar('\n');
	table_print(t);
	table_free(t);
}

static struct fault *run_list(const struct cli_input *in)
{
	json_t *o = NULL;
	struct fault *f = NULL;
	TRY(client_call(in, "/v1/authorities", NULL, false, &o));
	const json_t *list = json_object_get(o, "authorities");
	const char *now = text_or_dash(o, "now");
	if (in->options[OPTION_JSON]) {
		f = print_json(o, JSON_INDENT(2));
	} else {
		print_authorities(list, now);
		print_anchors(list, now);
		print_waited(list, now);
	}
	json_decref(o);
	return f;
}

/* --- test --- */

static void print_step(const json_t *o, const char *key, const char *what)
{
	if (!json_is_null(json_object_get(o, key)))
		(void)printf("  %-28s %lld ms\n", what, number_of(o, key));
}

static void print_text(const json_t *o, const char *key, const char *what)
{
	AUTO(mem_freep) char *safe = text_escaped(text_or_dash(o, key));
	(void)printf("  %-28s %s\n", what, safe);
}

static void print_certificate(const json_t *c)
{
	size_t i;
	json_t *san;
	(void)puts("what the certificate would look like:");
	print_text(c, "subject", "subject");
	print_text(c, "issuer", "issuer");
	json_array_foreach(json_object_get(c, "sans"), i, san)
	{
		const char *text = json_string_value(san);
		AUTO(mem_freep) char *safe = text_escaped(text ? text : "-");
		(void)printf("  %-28s %s\n", "name", safe);
	}
	print_text(c, "key_type", "key");
	print_text(c, "not_before", "not before");
	print_text(c, "not_after", "not after");
	print_text(c, "serial", "serial");
	print_text(c, "sha256", "sha256");
}

static struct fault *run_test(const struct cli_input *in)
{
	json_t *o = NULL, *body = json_pack("{s:s}", "name", in->names[1]);
	struct fault *f = NULL;
	if (in->options[OPTION_SECRET])
		(void)json_object_set_new(body, "secret", json_string(in->options[OPTION_SECRET]));
	f = client_call(in, "/v1/authorities/test", body, false, &o);
	json_decref(body);
	TRY(f);
	bool passed = json_is_true(json_object_get(o, "passed"));
	if (in->options[OPTION_JSON]) {
		f = print_json(o, JSON_INDENT(2));
	} else {
		AUTO(mem_freep) char *entry = text_escaped(text_or_dash(o, "entry"));
		AUTO(mem_freep) char *profile = text_escaped(text_or_dash(o, "profile"));
		(void)printf("asked as for %s (profile %s); nothing of it is stored or served\n", entry, profile);
		print_step(o, "wait_ms", "waited for a place");
		print_step(o, "key_ms", "made key and request");
		print_step(o, "answer_ms", "the authority's answer");
		print_step(o, "check_ms", "our checks");
		if (passed)
			print_certificate(json_object_get(o, "certificate"));
	}
	if (!f && !passed)
		f = fault_new(FAULT_UNAVAILABLE, "%s", text_or_dash(o, "failure"));
	json_decref(o);
	return f;
}

static struct fault *run(const struct cli_input *in)
{
	bool list = strcmp(in->names[0], "list") == 0, test = strcmp(in->names[0], "test") == 0;
	if (list && in->name_count == 1)
		return run_list(in);
	if (test && in->name_count == 2)
		return run_test(in);
	AUTO(mem_freep) char *safe = text_escaped(in->names[0]);
	return fault_new(FAULT_INVALID,
		"there is no \"authority %.32s\" with %zu more names; try: leafcast authority list, "
		"or leafcast authority test NAME",
		safe, in->name_count - 1);
}

const struct cli_command cli_authority = {
	.name = "authority",
	.arguments = "list|test [NAME]",
	.summary = "show the authorities, or try one",
	.text = "list shows each authority, whether it is worth asking (its breaker), its roots, and which proxies are "
		"waited for before\n"
		"certificates under a new root are served. test asks one for a certificate as it would be asked for "
		"the first secret that\n"
		"comes from it (sample values stand for what a caller would prove), times each step, runs every check, "
		"and throws the\n"
		"certificate away: nothing is stored or served.\n\n"
		"example: leafcast authority test mesh --secret web-cert",
	.options = {[OPTION_JSON] = {"json", NULL, "everything, for machines"},
		[OPTION_SECRET] = {"secret", "NAME", "ask as for this secret"}},
	.names_min = 1,
	.names_max = 2,
	.run = run,
};
