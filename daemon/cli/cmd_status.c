/* daemon/cli/cmd_status.c - leafcast status */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/text.h"
#include "daemon/cli/internal.h"

enum { OPTION_JSON };

static void print_head(const json_t *o, const char *now)
{
	AUTO(mem_freep) char *up = relative_time(o, "started_at", now);
	AUTO(mem_freep) char *version = safe_or_dash(o, "version");
	AUTO(mem_freep) char *unready = safe_or_dash(o, "unready");
	(void)printf("leafcast %s, started %s, %s, %lld connections, %lld streams\n", version, up,
		json_is_null(json_object_get(o, "unready")) ? "ready" : "NOT READY", number_of(o, "connections"),
		number_of(o, "streams"));
	if (!json_is_null(json_object_get(o, "unready")))
		(void)printf("not ready: %s\n", unready);
	if (json_integer_value(json_object_get(o, "memory_only")) > 0)
		(void)printf("WARNING: %lld versions are served that the store could not take\n",
			number_of(o, "memory_only"));
}

static void print_campaigns(const json_t *list, const char *now)
{
	size_t i;
	json_t *k;
	json_array_foreach(list, i, k)
	{
		AUTO(mem_freep) char *until = relative_time(k, "until", now);
		AUTO(mem_freep) char *of = safe_or_dash(k, "authority");
		long long total = number_of(k, "total");
		long long left = number_of(k, "left");
		bool paused = json_is_true(json_object_get(k, "paused"));
		(void)printf("rotating all secrets%s%s: %lld of %lld are new, %lld fail; %s%s\n",
			json_is_null(json_object_get(k, "authority")) ? "" : " of ",
			json_is_null(json_object_get(k, "authority")) ? "" : of, total - left, total,
			number_of(k, "failing"), paused ? "paused" : "the last is due ",
			paused ? " (leafcast trust resume goes on)" : until);
	}
}

/* "ready", "ready, its breaker is open", or why not. */
static char *authority_state(const json_t *a)
{
	const char *breaker = text_or_dash(a, "breaker");
	if (!json_is_true(json_object_get(a, "ready")))
		return mem_strdup(text_or_dash(a, "error"));
	return strcmp(breaker, "closed") == 0 ? mem_strdup("ready") : mem_printf("ready, its breaker is %s", breaker);
}

static void print_authorities(const json_t *list)
{
	static const char *const heads[] = {"AUTHORITY", "TYPE", "STATE", "ROOT SHA-256"};
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	size_t i;
	json_t *a;
	json_array_foreach(list, i, a)
	{
		AUTO(mem_freep) char *state = authority_state(a);
		const char *cells[] = {
			text_or_dash(a, "name"), text_or_dash(a, "type"), state, text_or_dash(a, "root_sha256")};
		table_add(t, cells);
	}
	(void)putchar('\n');
	table_print(t);
	table_free(t);
}

static bool is_shown(const json_t *secret, const char *name)
{
	return !name || strcmp(text_or_dash(secret, "name"), name) == 0 ||
	       strcmp(text_or_dash(secret, "entry"), name) == 0;
}

static size_t print_secrets(const json_t *list, const char *now, const char *name)
{
	static const char *const heads[] = {"SECRET", "KIND", "STATE", "VERSION", "EXPIRES", "RENEWS", "SUBSCRIBERS",
		"ACKED", "LAST ACK", "LAST NACK", "SOURCE"};
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	size_t i, shown = 0;
	json_t *s;
	json_array_foreach(list, i, s)
	{
		if (!is_shown(s, name))
			continue;
		shown++;
		AUTO(mem_freep) char *expires = relative_time(s, "not_after", now);
		AUTO(mem_freep) char *renews = relative_time(s, "renew_at", now);
		AUTO(mem_freep) char *acked_at = relative_time(s, "last_ack_at", now);
		AUTO(mem_freep) char *nacked_at = relative_time(s, "last_nack_at", now);
		AUTO(mem_freep)
		char *subscribers = mem_printf("%lld", number_of(s, "subscribers"));
		AUTO(mem_freep)
		char *acked = mem_printf("%lld", number_of(s, "acked"));
		AUTO(mem_freep)
		char *version = mem_strndup(text_or_dash(s, "version"), strnlen(text_or_dash(s, "version"), 12));
		const char *cells[] = {text_or_dash(s, "entry"), text_or_dash(s, "kind"), text_or_dash(s, "state"),
			version, expires, renews, subscribers, acked, acked_at, nacked_at, text_or_dash(s, "source")};
		table_add(t, cells);
	}
	if (shown)
		(void)putchar('\n');
	table_print(t);
	table_free(t);
	return shown;
}

/* Each is told once by delta; a SotW client waits, and shows nothing of it. */
static void print_unknown(const json_t *s, const char *entry, const char *now)
{
	size_t i;
	json_t *asker;
	(void)printf("\n%s is asked for by %lld streams, and nobody defined it\n", entry, number_of(s, "subscribers"));
	json_array_foreach(json_object_get(s, "asked_by"), i, asker)
	{
		AUTO(mem_freep) char *since = relative_time(asker, "since", now);
		AUTO(mem_freep) char *identity = safe_or_dash(asker, "identity");
		AUTO(mem_freep) char *node = safe_or_dash(asker, "node");
		AUTO(mem_freep) char *method = safe_or_dash(asker, "method");
		(void)printf("  since %s by %s, node %s (%s)\n", since, identity, node, method);
	}
}

static void print_troubles(const json_t *list, const char *now, const char *name)
{
	size_t i;
	json_t *s;
	json_array_foreach(list, i, s)
	{
		AUTO(mem_freep) char *entry = safe_or_dash(s, "entry");
		if (!is_shown(s, name))
			continue;
		if (!json_is_null(json_object_get(s, "last_error"))) {
			AUTO(mem_freep) char *at = relative_time(s, "last_error_at", now);
			AUTO(mem_freep) char *text = safe_or_dash(s, "last_error");
			(void)printf("\n%s failed %s: %s\n", entry, at, text);
		}
		if (!json_is_null(json_object_get(s, "last_nack"))) {
			AUTO(mem_freep) char *at = relative_time(s, "last_nack_at", now);
			AUTO(mem_freep) char *text = safe_or_dash(s, "last_nack");
			(void)printf("\n%s was NACKed %s: %s\n", entry, at, text);
		}
		if (!json_is_null(json_object_get(s, "rejected"))) {
			AUTO(mem_freep) char *at = relative_time(s, "rejected_at", now);
			AUTO(mem_freep) char *who = safe_or_dash(s, "rejected_authority");
			AUTO(mem_freep) char *text = safe_or_dash(s, "rejected");
			(void)printf("\n%s got an answer from %s that was refused %s: %s\n", entry, who, at, text);
		}
		if (!json_is_null(json_object_get(s, "held_since"))) {
			AUTO(mem_freep) char *at = relative_time(s, "held_since", now);
			AUTO(mem_freep) char *text = safe_or_dash(s, "held_for");
			(void)printf(
				"\n%s has a new certificate that waits (since %s) until proxies hold its root: %s\n",
				entry, at, text);
		}
		if (strcmp(text_or_dash(s, "state"), "unknown") == 0)
			print_unknown(s, entry, now);
	}
}

static size_t print_quarantine(const json_t *list, const char *now, const char *name)
{
	static const char *const heads[] = {"HELD BACK FROM", "IDENTITY", "SECRET", "VERSION", "SINCE", "HOLDS UNTIL",
		"AT FAULT", "CODE", "ENVOY SAYS"};
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	size_t i, shown = 0;
	json_t *q;
	json_array_foreach(list, i, q)
	{
		if (!is_shown(q, name))
			continue;
		shown++;
		AUTO(mem_freep) char *since = relative_time(q, "since", now);
		AUTO(mem_freep) char *until = relative_time(q, "held_until", now);
		AUTO(mem_freep)
		char *version = mem_strndup(text_or_dash(q, "version"), strnlen(text_or_dash(q, "version"), 12));
		AUTO(mem_freep)
		char *code = mem_printf("%lld", number_of(q, "code"));
		const char *cells[] = {text_or_dash(q, "node"), text_or_dash(q, "identity"), text_or_dash(q, "entry"),
			version, since, until, text_or_dash(q, "verdict"), code, text_or_dash(q, "message")};
		table_add(t, cells);
	}
	if (shown)
		(void)putchar('\n');
	table_print(t);
	table_free(t);
	return shown;
}

static void print_denials(const json_t *list, const char *now)
{
	static const char *const heads[] = {"DENIED TO", "NAME", "NODE", "TIMES", "LAST", "TO ALLOW IT"};
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	size_t i;
	json_t *d;
	json_array_foreach(list, i, d)
	{
		AUTO(mem_freep)
		char *count = mem_printf("%lld", number_of(d, "count"));
		AUTO(mem_freep) char *last = relative_time(d, "last_at", now);
		const char *cells[] = {text_or_dash(d, "identity"), text_or_dash(d, "name"), text_or_dash(d, "node"),
			count, last, text_or_dash(d, "hint")};
		table_add(t, cells);
	}
	if (json_array_size(list))
		(void)putchar('\n');
	table_print(t);
	table_free(t);
}

static struct fault *run(const struct cli_input *in)
{
	json_t *o = NULL;
	const char *name = in->name_count ? in->names[0] : NULL;
	TRY(client_call(in, "/v1/status", NULL, false, &o));
	if (in->options[OPTION_JSON]) {
		struct fault *f = print_json(o, JSON_INDENT(2));
		json_decref(o);
		return f;
	}
	const char *now = text_or_dash(o, "now");
	const json_t *secrets = json_object_get(o, "secrets");
	struct fault *f = NULL;
	if (!name) {
		print_head(o, now);
		print_campaigns(json_object_get(o, "campaigns"), now);
		print_authorities(json_object_get(o, "authorities"));
	}
	if (!print_secrets(secrets, now, name) && name)
		f = fault_new(FAULT_NOT_FOUND, "there is no secret %s", name);
	print_troubles(secrets, now, name);
	if (print_quarantine(json_object_get(o, "quarantine"), now, name))
		(void)printf("mend what is at fault, then: leafcast retry SECRET [NODE]\n");
	if (!name)
		print_denials(json_object_get(o, "denials"), now);
	json_decref(o);
	return f;
}

const struct cli_command cli_status = {
	.name = "status",
	.arguments = "[NAME]",
	.summary = "show secrets, versions, expiry, subscribers, denials",
	.text = "Shows what the server serves and to whom: each secret with its version, when it expires and is "
		"renewed next, its\n"
		"subscribers and their last ACK and NACK; names that were denied, with the rule that would allow "
		"them.\n\n"
		"example: leafcast status web-cert",
	.options = {[OPTION_JSON] = {"json", NULL, "everything, for machines"}},
	.names_max = 1,
	.run = run,
};
