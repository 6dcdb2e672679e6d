/* daemon/cli/cmd_trust.c - leafcast trust status|rotate|proceed|pause|resume|remove|restore, and compromise: the plan
 * is shown before anything is done (trust_plan.c). */
#include <stdio.h>
#include <string.h>
#include "base/duration.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/cli/internal.h"
#include "daemon/cli/trust_plan.h"

enum { OPTION_OVER, OPTION_PROCEED, OPTION_PROCEED_ALL, OPTION_FORCE, OPTION_DRY_RUN, OPTION_YES };
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

static char *order_of(const json_t *a)
{
	bool paused = !json_is_null(json_object_get(a, "paused")), ordered = !json_is_null(json_object_get(a, "order"));
	return mem_printf("%s%s%s", ordered || !paused ? text_or_dash(a, "order") : "", ordered && paused ? ", " : "",
		paused ? "paused" : "");
}

static void print_waiting(const json_t *o, const char *authority)
{
	size_t i;
	json_t *a;
	json_array_foreach(json_object_get(o, "anchors"), i, a)
	{
		if (!is_of(a, authority) || json_is_null(json_object_get(a, "waits_for")))
			continue;
		AUTO(mem_freep) char *name = safe_or_dash(a, "authority");
		AUTO(mem_freep) char *who = safe_or_dash(a, "waits_for");
		(void)printf(
			"\nnot trusted by all yet (leafcast trust proceed %s NODE passes over one): %s\n", name, who);
	}
}

/* Once for each authority: their anchors are neighbours. */
static void print_pause(const json_t *o, const char *authority)
{
	size_t i;
	json_t *a;
	const char *last = "";
	json_array_foreach(json_object_get(o, "anchors"), i, a)
	{
		const char *name = text_or_dash(a, "authority");
		if (!is_of(a, authority) || json_is_null(json_object_get(a, "paused")) || strcmp(last, name) == 0)
			continue;
		last = name;
		AUTO(mem_freep) char *since = relative_time(a, "paused", text_or_dash(o, "now"));
		AUTO(mem_freep) char *by = safe_or_dash(a, "paused_by");
		AUTO(mem_freep) char *safe = text_escaped(name);
		(void)printf(
			"\nauthority %s: paused %s by %s; leafcast trust resume %s goes on\n", safe, since, by, safe);
	}
}

static size_t print_bans(const json_t *o, const char *authority)
{
	size_t i, shown = 0;
	json_t *b;
	json_array_foreach(json_object_get(o, "banned"), i, b)
	{
		if (!is_of(b, authority))
			continue;
		AUTO(mem_freep) char *name = safe_or_dash(b, "authority");
		AUTO(mem_freep) char *sha = safe_or_dash(b, "sha256");
		AUTO(mem_freep) char *subject = safe_or_dash(b, "subject");
		AUTO(mem_freep) char *at = relative_time(b, "at", text_or_dash(o, "now"));
		AUTO(mem_freep) char *by = safe_or_dash(b, "by");
		(void)printf("%sbanned: anchor %s of %s (%s), %s by %s%s; leafcast trust restore lifts it\n",
			shown++ ? "" : "\n", sha, name, subject, at, by,
			json_is_true(json_object_get(b, "shown")) ? ", still shown by the authority" : "");
	}
	json_array_foreach(json_object_get(o, "authorities"), i, b)
	{
		const char *name = text_or_dash(b, "name");
		if (!json_is_true(json_object_get(b, "bans_unreadable")) || (authority && strcmp(name, authority) != 0))
			continue;
		AUTO(mem_freep) char *safe = text_escaped(name);
		(void)printf(
			"\nauthority %s: which of its anchors were banned cannot be read, so it brings no new one; "
			"leafcast trust restore %s --force forgets the bans\n",
			safe, safe);
		shown++;
	}
	return shown;
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
		char *leaves = mem_printf("%lld", number_of(a, "leaves"));
		AUTO(mem_freep) char *order = order_of(a);
		AUTO(mem_freep)
		char *sha = mem_strndup(text_or_dash(a, "sha256"), strnlen(text_or_dash(a, "sha256"), 16));
		const char *cells[] = {text_or_dash(a, "authority"), sha, text_or_dash(a, "subject"), state_of(a),
			expires, leaves, order};
		table_add(t, cells);
	}
	table_print(t);
	table_free(t);
	print_waiting(o, authority);
	print_pause(o, authority);
	shown += print_bans(o, authority);
	if (authority)
		trust_plan_print_nodes(o, authority);
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
	TRY(trust_plan_print(in, authority, compromised, over_ms));
	if (dry_run)
		return NULL;
	if (!trust_plan_confirmed(yes))
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
	const char *node = in->options[OPTION_PROCEED];
	bool all = in->options[OPTION_PROCEED_ALL];
	json_t *o = NULL;
	if (!node && in->name_count > 2)
		node = in->names[2];
	if (!node == !all)
		return fault_new(FAULT_INVALID,
			"name the NODE that is not to be waited for (leafcast trust status %s lists them), or give "
			"--proceed-all",
			authority);
	TRY(post(in, "/v1/trust/proceed",
		all ? json_pack("{s:s, s:b}", "authority", authority, "all", 1)
		    : json_pack("{s:s, s:s}", "authority", authority, "node", node),
		&o));
	AUTO(mem_freep) char *who = text_escaped(text_or_dash(o, "passed_over"));
	(void)printf("no longer waited for: %s\n", who);
	json_decref(o);
	return NULL;
}

static struct fault *pause_or_resume(const struct cli_input *in, const char *authority, bool on)
{
	json_t *o = NULL;
	TRY(post(in, on ? "/v1/trust/pause" : "/v1/trust/resume", json_pack("{s:s}", "authority", authority), &o));
	(void)printf(on ? "trust of %s stands still, also over restarts, until leafcast trust resume %s\n"
			: "trust of %s goes on: leafcast trust status %s\n",
		authority, authority);
	json_decref(o);
	return NULL;
}

/* What breaks is said before it is asked; without certificates under the anchors nothing does. sha256 NULL: what the
 * authority shows no more. */
static struct fault *remove_anchors(const struct cli_input *in, const char *authority, const char *sha256)
{
	json_t *o = NULL;
	bool force = in->options[OPTION_FORCE];
	if (force || in->options[OPTION_DRY_RUN])
		TRY(sha256 ? trust_plan_print_ban(in, authority, sha256) : trust_plan_print_removal(in, authority));
	if (in->options[OPTION_DRY_RUN])
		return NULL;
	if (force && !trust_plan_confirmed(in->options[OPTION_YES]))
		return fault_new(FAULT_DENIED, "not confirmed: nothing was done (--yes confirms)");
	json_t *body = json_pack("{s:s, s:b}", "authority", authority, "force", force);
	if (sha256)
		(void)json_object_set_new(body, "sha256", json_string(sha256));
	TRY(post(in, "/v1/trust/remove", body, &o));
	(void)printf("%lld anchors left the bundles\n", number_of(o, "removed"));
	if (sha256)
		(void)printf(
			"it is not taken again from the authority, also over restarts, until leafcast trust restore %s "
			"%s\n",
			authority, sha256);
	json_decref(o);
	return NULL;
}

static struct fault *restore(const struct cli_input *in, const char *authority, const char *sha256)
{
	json_t *o = NULL;
	bool force = in->options[OPTION_FORCE];
	if (force == (sha256 != NULL))
		return fault_new(FAULT_INVALID,
			"name the anchor by its SHA-256 (leafcast trust status %s lists what is banned); --force "
			"instead "
			"forgets all bans of the authority where they cannot be read",
			authority);
	TRY(post(in, "/v1/trust/restore",
		force ? json_pack("{s:s, s:b}", "authority", authority, "force", 1)
		      : json_pack("{s:s, s:s}", "authority", authority, "sha256", sha256),
		&o));
	(void)puts(
		"what the authority shows is taken again: as a new anchor, certificates under it follow when proxies "
		"hold it");
	json_decref(o);
	return NULL;
}

static struct fault *change(const struct cli_input *in, const char *verb, const char *authority)
{
	int64_t over_ms = OVER_DEFAULT_MS;
	if (in->options[OPTION_OVER] && !duration_parse(in->options[OPTION_OVER], &over_ms))
		return fault_new(FAULT_INVALID, "--over takes a duration such as 0s, 10m or 2h");
	if (strcmp(verb, "proceed") == 0 || in->options[OPTION_PROCEED] || in->options[OPTION_PROCEED_ALL])
		return proceed(in, authority);
	const char *sha256 = in->name_count > 2 ? in->names[2] : NULL;
	if (strcmp(verb, "remove") == 0)
		return remove_anchors(in, authority, sha256);
	if (strcmp(verb, "restore") == 0)
		return restore(in, authority, sha256);
	if (sha256)
		return fault_new(FAULT_INVALID, "trust %s takes one authority", verb);
	if (strcmp(verb, "rotate") == 0)
		return rotate(in, authority, over_ms, false, in->options[OPTION_DRY_RUN], in->options[OPTION_YES]);
	return pause_or_resume(in, authority, strcmp(verb, "pause") == 0);
}

static struct fault *run(const struct cli_input *in)
{
	static const char *const verbs[] = {"rotate", "proceed", "pause", "resume", "remove", "restore"};
	const char *verb = in->names[0], *authority = in->name_count > 1 ? in->names[1] : NULL;
	if (strcmp(verb, "status") == 0)
		return status(in, authority);
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (strcmp(verb, verbs[i]) == 0)
			return authority ? change(in, verb, authority)
					 : fault_new(FAULT_INVALID, "trust %s takes an authority", verb);
	return fault_new(FAULT_INVALID,
		"trust does not know \"%.40s\"; it takes status, rotate, proceed, pause, resume, remove or "
		"restore",
		verb);
}

const struct cli_command cli_trust = {
	.name = "trust",
	.arguments = "status|rotate|proceed|pause|resume|remove|restore [AUTHORITY [NODE|SHA256]]",
	.summary = "see and change which anchors proxies trust",
	.text = "status     the anchors of each authority, the certificates under each, and who does not hold it yet; "
		"of one "
		"authority every node\n"
		"rotate     a new root for an authority that leafcast keeps itself, then new certificates under it\n"
		"proceed    wait no longer for the proxies with this node.id, which do not hold a new anchor\n"
		"pause      no step of a change of trust is done until resume; renewals go on\n"
		"remove     take the anchors that an authority shows no more out of the bundles now; with a SHA256 "
		"that one, "
		"also\n           while the authority shows it (--force): it is banned until restore\n"
		"restore    an anchor that was removed by its SHA256 may come back\n\n"
		"Each step outlives a restart. Of other authorities (Vault, step-ca) the roots are changed there; the "
		"rest "
		"follows.\n\n"
		"example: leafcast trust rotate mesh --over 1h",
	.options = {[OPTION_OVER] = {"over", "TIME", "rotate: how long the new certificates may take (default 10m)"},
		[OPTION_PROCEED] = {"proceed", "NODE", "the same as proceed AUTHORITY NODE"},
		[OPTION_PROCEED_ALL] = {"proceed-all", NULL, "proceed: wait for nobody any more"},
		[OPTION_FORCE] = {"force", NULL,
			"remove: also while certificates under them are served; asks. restore: forget bans that "
			"cannot be read"},
		[OPTION_DRY_RUN] = {"dry-run", NULL, "rotate, remove: show the plan alone"},
		[OPTION_YES] = {"yes", NULL, "rotate, remove --force: do not ask"}},
	.names_min = 1,
	.names_max = 3,
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
	TRY(trust_plan_print_streams(in, name));
	if (in->options[COMPROMISE_DRY_RUN])
		return NULL;
	if (!trust_plan_confirmed(in->options[COMPROMISE_YES]))
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
		"once.\n"
		"Of another one (Vault, step-ca):\nrotate its root there first; when leafcast shows the new anchor "
		"beside the "
		"old ones, new certificates for\nall under it, then the old ones leave and are banned, though still "
		"shown. The plan\n"
		"is shown before it asks; each step outlives a restart.\n\n"
		"example: leafcast compromise --authority mesh --dry-run",
	.options = {[COMPROMISE_AUTHORITY] = {"authority", "A", "its root or issuing key"},
		[COMPROMISE_DRY_RUN] = {"dry-run", NULL, "show the plan alone"},
		[COMPROMISE_YES] = {"yes", NULL, "do not ask"}},
	.names_max = 1,
	.run = run_compromise,
};
