#include "daemon/cli/trust_plan.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/text.h"
#include "daemon/cli/internal.h"

/* Silent proxies are waited for so long (control/trust_orders.c, control/revoke.c), in seconds. */
enum { ACKS_AFTER_COMPROMISE_S = 60, ACKS_OF_ONE_S = 30, ASKED_S = 30 };

static bool is_of(const json_t *a, const char *authority)
{
	return strcmp(text_or_dash(a, "authority"), authority) == 0;
}

void trust_plan_print_nodes(const json_t *o, const char *authority)
{
	static const char *const heads[] = {"ANCHOR SHA-256", "NODE", "IDENTITY", "BUNDLE", "STATE", "SINCE"};
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	size_t i, n;
	long long unshown = 0;
	json_t *a, *v;
	json_array_foreach(json_object_get(o, "anchors"), i, a)
	{
		if (!is_of(a, authority))
			continue;
		AUTO(mem_freep)
		char *sha = mem_strndup(text_or_dash(a, "sha256"), strnlen(text_or_dash(a, "sha256"), 16));
		json_array_foreach(json_object_get(a, "nodes"), n, v)
		{
			AUTO(mem_freep) char *since = relative_time(v, "since", text_or_dash(o, "now"));
			bool passed = !json_is_null(json_object_get(v, "passed_by"));
			AUTO(mem_freep)
			char *state = mem_printf("%s%s%s", text_or_dash(v, "state"), passed ? " by " : "",
				passed ? text_or_dash(v, "passed_by") : "");
			const char *cells[] = {sha, text_or_dash(v, "node"), text_or_dash(v, "identity"),
				text_or_dash(v, "bundle"), state, since};
			table_add(t, cells);
		}
		long long all = number_of(a, "holding") + number_of(a, "missing");
		unshown += all > (long long)n ? all - (long long)n : 0;
	}
	(void)putchar('\n');
	table_print(t);
	table_free(t);
	if (unshown)
		(void)printf("and %lld more\n", unshown);
}

static void print_time(const json_t *reach, bool compromised, int64_t over_ms)
{
	long long certificates = number_of(reach, "certificates"), rate = number_of(reach, "rate"),
		  seconds = over_ms / 1000;
	if (rate && certificates / rate > seconds)
		seconds = certificates / rate;
	(void)printf(
		"it touches %lld nodes that are connected, %lld certificates and %lld bundles; new certificates take "
		"about %lld s",
		number_of(reach, "nodes"), certificates, number_of(reach, "bundles"), seconds);
	if (rate)
		(void)printf(" (at most %lld requests a second)", rate);
	(void)printf(", once every node has taken the new root");
	if (compromised)
		(void)printf("; then silent nodes have up to %d s, and the old anchors leave", ACKS_AFTER_COMPROMISE_S);
	(void)putchar('\n');
}

/* Of an authority that makes its roots itself: the newest one stays, the others are banned. */
static void print_older(const json_t *o, const json_t *reach, const char *authority)
{
	size_t i;
	const json_t *a, *newest = NULL;
	json_array_foreach(json_object_get(o, "anchors"), i, a)
	{
		if (is_of(a, authority) && json_is_true(json_object_get(a, "newest")))
			newest = a;
	}
	AUTO(mem_freep) char *stays = newest ? safe_or_dash(newest, "sha256") : NULL;
	(void)printf("1. the newest anchor of %s stays: %s; proxies hold it before certificates under it are served\n"
		     "2. %lld certificates are issued anew; %s must sign under that anchor by now\n"
		     "3. when the proxies have taken those, these leave every bundle and are banned, though %s may "
		     "still show "
		     "them:\n",
		authority, stays ? stays : "none is there yet, so this is REFUSED", number_of(reach, "certificates"),
		authority, authority);
	json_array_foreach(json_object_get(o, "anchors"), i, a)
	{
		if (!is_of(a, authority) || a == newest)
			continue;
		AUTO(mem_freep) char *sha = safe_or_dash(a, "sha256");
		AUTO(mem_freep) char *subject = safe_or_dash(a, "subject");
		(void)printf("   anchor %s (%s), %lld certificates\n", sha, subject, number_of(a, "leaves"));
	}
	print_time(reach, true, 0);
	trust_plan_print_nodes(o, authority);
}

struct fault *trust_plan_print(const struct cli_input *in, const char *authority, bool compromised, int64_t over_ms)
{
	json_t *o = NULL, *a, *reach = NULL;
	size_t i, anchors = 0;
	bool is_rotating = false;
	TRY(client_call(in, "/v1/trust", NULL, false, &o));
	json_array_foreach(json_object_get(o, "anchors"), i, a)
	{
		anchors += is_of(a, authority);
		is_rotating |= is_of(a, authority) && strcmp(text_or_dash(a, "order"), "rotating") == 0;
	}
	json_array_foreach(json_object_get(o, "authorities"), i, a)
	{
		if (strcmp(text_or_dash(a, "name"), authority) == 0)
			reach = a;
	}
	if (!anchors || !reach) {
		json_decref(o);
		return fault_new(FAULT_NOT_FOUND, "no anchor of authority %s is known", authority);
	}
	if (compromised && !json_is_true(json_object_get(reach, "makes_roots"))) {
		print_older(o, reach, authority);
		json_decref(o);
		return NULL;
	}
	(void)printf(
		compromised && is_rotating
			? "1. the rotation of %s that is under way is taken over: its new root stays\n"
			: "1. authority %s makes a new root; every bundle with its anchors shows it beside the old "
			  "one\n",
		authority);
	(void)printf(
		"2. as the proxies that hold such a bundle have ACKed it, %lld certificates are issued anew\n"
		"   (silent ones are waited for; leafcast trust status names them, trust proceed passes over one)\n"
		"3. %s\n",
		number_of(reach, "certificates"),
		compromised ? "when the proxies have taken those, the old anchors leave the bundles at once: what is "
			      "left under them is refused"
			    : "the old anchors leave the bundles one certificate life after their last certificate");
	print_time(reach, compromised, over_ms);
	trust_plan_print_nodes(o, authority);
	json_decref(o);
	return NULL;
}

struct fault *trust_plan_print_removal(const struct cli_input *in, const char *authority)
{
	json_t *o = NULL, *a;
	size_t i;
	long long leaves = 0;
	TRY(client_call(in, "/v1/trust", NULL, false, &o));
	json_array_foreach(json_object_get(o, "anchors"), i, a)
	{
		if (!is_of(a, authority) || json_is_null(json_object_get(a, "gone")))
			continue;
		AUTO(mem_freep) char *subject = safe_or_dash(a, "subject");
		AUTO(mem_freep) char *sha = safe_or_dash(a, "sha256");
		leaves += number_of(a, "leaves");
		(void)printf(
			"anchor %.16s (%s) leaves every bundle; %lld nodes hold it, %lld certificates under it are "
			"served\n",
			sha, subject, number_of(a, "holding"), number_of(a, "leaves"));
	}
	if (leaves)
		(void)printf("new connections with those %lld certificates will FAIL until they are replaced: leafcast "
			     "rotate --authority %s --over 0s\n",
			leaves, authority);
	else
		(void)puts("no certificate that leafcast serves is under them: nothing of it breaks");
	json_decref(o);
	return NULL;
}

struct ban_plan {
	const json_t *anchor; /* that is meant; NULL: not found, or more than one is */
	size_t others, shown; /* anchors of the authority beside it; those that it shows now */
};

static struct ban_plan plan_ban(const json_t *o, const char *authority, const char *sha256)
{
	struct ban_plan p = {NULL, 0, 0};
	size_t i, found = 0;
	const json_t *a;
	json_array_foreach(json_object_get(o, "anchors"), i, a)
	{
		if (!is_of(a, authority))
			continue;
		if (strncmp(text_or_dash(a, "sha256"), sha256, strlen(sha256)) == 0) {
			p.anchor = a;
			found++;
			continue;
		}
		p.others++;
		p.shown += json_is_null(json_object_get(a, "gone"));
	}
	if (found != 1)
		p.anchor = NULL;
	return p;
}

static void print_ban(const struct ban_plan *p, const char *authority)
{
	bool is_shown = json_is_null(json_object_get(p->anchor, "gone"));
	long long leaves = number_of(p->anchor, "leaves");
	AUTO(mem_freep) char *subject = safe_or_dash(p->anchor, "subject");
	AUTO(mem_freep) char *sha = safe_or_dash(p->anchor, "sha256");
	(void)printf(
		"anchor %s (%s) leaves every bundle and is banned%s; %lld nodes hold it, %lld certificates under it "
		"are served\n",
		sha, subject, is_shown ? ", though the authority still shows it" : "", number_of(p->anchor, "holding"),
		leaves);
	if (leaves)
		(void)printf("new connections with those %lld certificates will FAIL until they are replaced: leafcast "
			     "rotate --authority %s --over 0s\n",
			leaves, authority);
	if (!p->others)
		(void)puts(
			"it is the only anchor of this authority: it is REFUSED until the authority shows another one");
	else if (!p->shown)
		(void)puts("the authority shows no other one: NOTHING can be issued by it until it has a new root");
	else
		(void)puts(
			"what the authority still signs under it is rejected: it must sign under another root by now");
}

struct fault *trust_plan_print_ban(const struct cli_input *in, const char *authority, const char *sha256)
{
	json_t *o = NULL;
	TRY(client_call(in, "/v1/trust", NULL, false, &o));
	const struct ban_plan p = plan_ban(o, authority, sha256);
	if (p.anchor)
		print_ban(&p, authority);
	json_decref(o);
	return p.anchor ? NULL
			: fault_new(FAULT_NOT_FOUND,
				  "no anchor of authority %s begins with that, or more than one: leafcast trust status "
				  "%s",
				  authority, authority);
}

struct fault *trust_plan_print_streams(const struct cli_input *in, const char *name)
{
	json_t *o = NULL, *s;
	size_t i;
	long long streams = 0;
	TRY(client_call(in, "/v1/status", NULL, false, &o));
	json_array_foreach(json_object_get(o, "secrets"), i, s)
	{
		if (strcmp(text_or_dash(s, "entry"), name) == 0 || strcmp(text_or_dash(s, "name"), name) == 0)
			streams += number_of(s, "subscribers");
	}
	json_decref(o);
	(void)printf(
		"it goes to %lld streams of proxies; seconds where all of them and the authority answer, else up to "
		"%d s for silent ones and %d s for each try at the authority\n",
		streams, ACKS_OF_ONE_S, ASKED_S);
	return NULL;
}

bool trust_plan_confirmed(bool yes)
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
