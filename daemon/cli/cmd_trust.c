/* daemon/cli/cmd_trust.c - leafcast trust status|rotate|proceed|remove, and compromise: the plan is shown before
 * anything is done. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/duration.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/cli/internal.h"

enum { OPTION_OVER, OPTION_FORCE, OPTION_DRY_RUN, OPTION_YES };
enum { COMPROMISE_AUTHORITY, COMPROMISE_DRY_RUN, COMPROMISE_YES };
enum { OVER_DEFAULT_MS = 10 * 60 * 1000 };

static const char *state_of(const json_t *a)
{
	if (!json_is_null(json_object_get(a, "gone")))
		return "leaving";
	return json_is_null(json_object_get(a, "ready")) ? "waiting" : "trusted";
}

static bool is_of(const json_t *a, const char *authority)
{
	return !authority || strcmp(text_or_dash(a, "authority"), authority) == 0;
}

static struct fault *print_anchors(const json_t *o, const char *authority)
{
	static const char *const heads[] = {
		"AUTHORITY", "ANCHOR SHA-256", "SUBJECT", "STATE", "EXPIRES", "CERTIFICATES", "ORDER"};
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	size_t i, shown = 0;
	json_t *a;
	json_array_foreach(json_object_get(o, "anchors"), i, a)
	{
		if (!is_of(a, authority))
			continue;
		shown++;
		AUTO(mem_freep) char *expires = relative_time(a, "not_after", text_or_dash(o, "now"));
		AUTO(mem_freep)
		char *leaves = mem_printf("%lld", (long long)json_integer_value(json_object_get(a, "leaves")));
		AUTO(mem_freep)
		char *sha = mem_strndup(text_or_dash(a, "sha256"), strnlen(text_or_dash(a, "sha256"), 16));
		const char *cells[] = {text_or_dash(a, "authority"), sha, text_or_dash(a, "subject"), state_of(a),
			expires, leaves, text_or_dash(a, "order")};
		table_add(t, cells);
	}
	table_print(t);
	table_free(t);
	json_array_foreach(json_object_get(o, "anchors"), i, a)
	{
		if (!is_of(a, authority) || json_is_null(json_object_get(a, "waits_for")))
			continue;
		AUTO(mem_freep) char *who = text_escaped(text_or_dash(a, "waits_for"));
		(void)printf("\nnot trusted by all yet (leafcast trust proceed %s passes over them): %s\n",
			text_or_dash(a, "authority"), who);
	}
	return shown || !authority ? NULL : fault_new(FAULT_NOT_FOUND, "no anchor of authority %s is known", authority);
}

static struct fault *status(const struct cli_input *in, const char *authority)
{
	json_t *o = NULL;
	TRY(client_call(in, "/v1/trust", NULL, false, &o));
	struct fault *f = print_anchors(o, authority);
	json_decref(o);
	return f;
}

/* How much of it there is: certificates, and streams that hold one of the authority's bundles. */
static struct fault *print_plan(const struct cli_input *in, const char *authority, bool compromised)
{
	json_t *o = NULL, *a;
	long long leaves = 0;
	size_t i, anchors = 0;
	TRY(client_call(in, "/v1/trust", NULL, false, &o));
	json_array_foreach(json_object_get(o, "anchors"), i, a)
	{
		if (!is_of(a, authority))
			continue;
		anchors++;
		leaves += (long long)json_integer_value(json_object_get(a, "leaves"));
	}
	json_decref(o);
	if (!anchors)
		return fault_new(FAULT_NOT_FOUND, "no anchor of authority %s is known", authority);
	(void)printf(
		"1. authority %s makes a new root; every bundle with its anchors shows it beside the old one\n"
		"2. as the proxies that hold such a bundle have ACKed it, %lld certificates are issued anew\n"
		"   (silent ones are waited for; leafcast trust status names them, trust proceed passes over them)\n"
		"3. %s\n",
		authority, leaves,
		compromised ? "when the proxies have taken those, the old anchors leave the bundles at once: what is "
			      "left under them is refused"
			    : "the old anchors leave the bundles one certificate life after their last certificate");
	return NULL;
}

static bool confirmed(bool yes)
{
	char answer[16] = "";
	if (yes)
		return true;
	if (!isatty(STDIN_FILENO))
		return false;
	(void)printf("type \"yes\" to go on: ");
	(void)fflush(stdout);
	return fgets(answer, sizeof answer, stdin) && strcmp(answer, "yes\n") == 0;
}

static struct fault *post(const struct cli_input *in, const char *path, json_t *body, json_t **ret)
{
	struct fault *f = client_call(in, path, body, false, ret);
	json_decref(body);
	return f;
}

static struct fault *rotate(
	const struct cli_input *in, const char *authority, int64_t over_ms, bool compromised, bool dry_run, bool yes)
{
	json_t *o = NULL;
	TRY(print_plan(in, authority, compromised));
	if (dry_run)
		return NULL;
	if (!confirmed(yes))
		return fault_new(FAULT_DENIED, "not confirmed: nothing was done (--yes confirms)");
	TRY(post(in, "/v1/trust/rotate",
		json_pack("{s:s, s:I, s:b}", "authority", authority, "over_s", (json_int_t)(over_ms / 1000),
			"compromised", compromised),
		&o));
	json_decref(o);
	(void)puts("the new root is in the bundles; the rest goes on by itself, over restarts: leafcast trust status");
	return NULL;
}

static struct fault *proceed(const struct cli_input *in, const char *authority)
{
	json_t *o = NULL;
	TRY(post(in, "/v1/trust/proceed", json_pack("{s:s}", "authority", authority), &o));
	AUTO(mem_freep) char *who = text_escaped(text_or_dash(o, "passed_over"));
	(void)printf("no longer waited for: %s\n", who);
	json_decref(o);
	return NULL;
}

static struct fault *remove_old(const struct cli_input *in, const char *authority)
{
	json_t *o = NULL;
	TRY(post(in, "/v1/trust/remove",
		json_pack("{s:s, s:b}", "authority", authority, "force", in->options[OPTION_FORCE] != NULL), &o));
	(void)printf("%lld anchors left the bundles\n", (long long)json_integer_value(json_object_get(o, "removed")));
	json_decref(o);
	return NULL;
}

static struct fault *run(const struct cli_input *in)
{
	const char *verb = in->names[0], *authority = in->name_count > 1 ? in->names[1] : NULL;
	int64_t over_ms = OVER_DEFAULT_MS;
	if (strcmp(verb, "status") == 0)
		return status(in, authority);
	if (strcmp(verb, "rotate") != 0 && strcmp(verb, "proceed") != 0 && strcmp(verb, "remove") != 0)
		return fault_new(FAULT_INVALID,
			"trust does not know \"%.40s\"; it takes status, rotate, proceed or remove", verb);
	if (!authority)
		return fault_new(FAULT_INVALID, "trust %s takes an authority", verb);
	if (in->options[OPTION_OVER] && !duration_parse(in->options[OPTION_OVER], &over_ms))
		return fault_new(FAULT_INVALID, "--over takes a duration such as 0s, 10m or 2h");
	if (strcmp(verb, "rotate") == 0)
		return rotate(in, authority, over_ms, false, in->options[OPTION_DRY_RUN], in->options[OPTION_YES]);
	return strcmp(verb, "proceed") == 0 ? proceed(in, authority) : remove_old(in, authority);
}

const struct cli_command cli_trust = {
	.name = "trust",
	.arguments = "status|rotate|proceed|remove [AUTHORITY]",
	.summary = "see and change which anchors proxies trust",
	.text = "status     the anchors of each authority, the certificates under each, and who does not hold it yet\n"
		"rotate     a new root for an authority that leafcast keeps itself, then new certificates under it\n"
		"proceed    wait no longer for the proxies that do not hold a new anchor; they are named\n"
		"remove     take the anchors that an authority shows no more out of the bundles now\n\n"
		"Each step outlives a restart. Of other authorities (Vault, step-ca) the roots are changed there; the "
		"rest "
		"follows.\n\n"
		"example: leafcast trust rotate mesh --over 1h",
	.options = {[OPTION_OVER] = {"over", "TIME", "rotate: how long the new certificates may take (default 10m)"},
		[OPTION_FORCE] = {"force", NULL, "remove: also while certificates under them are served"},
		[OPTION_DRY_RUN] = {"dry-run", NULL, "rotate: show the plan alone"},
		[OPTION_YES] = {"yes", NULL, "rotate: do not ask"}},
	.names_min = 1,
	.names_max = 2,
	.run = run,
};

static struct fault *revoke_one(const struct cli_input *in, const char *name)
{
	json_t *o = NULL;
	AUTO(mem_freep) char *safe = text_escaped(name);
	(void)printf("1. %s gets a new key and certificate; its proxies ACK it (silent ones are waited for 30 s)\n"
		     "2. the authority revokes the old certificate, where it can\n"
		     "3. the old key is destroyed\n",
		safe);
	if (in->options[COMPROMISE_DRY_RUN])
		return NULL;
	if (!confirmed(in->options[COMPROMISE_YES]))
		return fault_new(FAULT_DENIED, "not confirmed: nothing was done (--yes confirms)");
	TRY(post(in, "/v1/revoke", json_pack("{s:s, s:s}", "name", name, "reason", "key-compromise"), &o));
	AUTO(mem_freep) char *outcome = text_escaped(text_or_dash(o, "outcome"));
	(void)printf("done; revocation: %s\n", outcome);
	json_decref(o);
	return NULL;
}

static struct fault *run_compromise(const struct cli_input *in)
{
	const char *authority = in->options[COMPROMISE_AUTHORITY];
	if (!authority == !in->name_count)
		return fault_new(FAULT_INVALID, "give the NAME of a secret, or --authority A");
	return authority ? rotate(in, authority, 0, true, in->options[COMPROMISE_DRY_RUN], in->options[COMPROMISE_YES])
			 : revoke_one(in, in->names[0]);
}

const struct cli_command cli_compromise = {
	.name = "compromise",
	.arguments = "NAME | --authority A",
	.summary = "a key is known to others: everything in the right order",
	.text = "Of a secret: a new key first, then the old certificate is revoked and its key destroyed. Of an "
		"authority that "
		"leafcast\n"
		"keeps itself: a new root beside the old one, new certificates for all, then the old anchors leave at "
		"once. "
		"The plan\n"
		"is shown before it asks; each step outlives a restart.\n\n"
		"example: leafcast compromise --authority mesh --dry-run",
	.options = {[COMPROMISE_AUTHORITY] = {"authority", "A", "its root or issuing key"},
		[COMPROMISE_DRY_RUN] = {"dry-run", NULL, "show the plan alone"},
		[COMPROMISE_YES] = {"yes", NULL, "do not ask"}},
	.names_max = 1,
	.run = run_compromise,
};
