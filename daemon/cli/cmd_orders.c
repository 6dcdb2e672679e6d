/* daemon/cli/cmd_orders.c - leafcast rotate, delete, reload, log-level */
#include <stdio.h>
#include "base/duration.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/cli/internal.h"

static struct fault *order(const struct cli_input *in, const char *path, const char *key, json_t **ret)
{
	json_t *body = json_pack("{s:s}", key, in->names[0]);
	struct fault *f = client_call(in, path, body, false, ret);
	json_decref(body);
	return f;
}

enum { OPTION_AUTHORITY, OPTION_ALL, OPTION_OVER };

static struct fault *rotate_many(const struct cli_input *in)
{
	const char *authority = in->options[OPTION_AUTHORITY], *over = in->options[OPTION_OVER];
	int64_t over_ms = 10 * 60 * 1000;
	json_t *o = NULL;
	if (in->name_count || (authority && in->options[OPTION_ALL]))
		return fault_new(FAULT_INVALID, "give a NAME, --authority or --all, one of them");
	if (over && !duration_parse(over, &over_ms))
		return fault_new(FAULT_INVALID, "--over takes a duration such as 0s, 10m or 2h");
	json_t *body = json_pack("{s:I}", "over_s", (json_int_t)(over_ms / 1000));
	if (authority)
		(void)json_object_set_new(body, "authority", json_string(authority));
	struct fault *f = client_call(in, "/v1/rotate-all", body, false, &o);
	json_decref(body);
	json_decref(o);
	if (!f)
		(void)printf("ordered; leafcast status shows how far it is. It goes on over a restart.\n");
	return f;
}

static struct fault *run_rotate(const struct cli_input *in)
{
	json_t *o = NULL;
	if (in->options[OPTION_AUTHORITY] || in->options[OPTION_ALL])
		return rotate_many(in);
	if (in->name_count == 0 || in->options[OPTION_OVER])
		return fault_new(FAULT_INVALID, "give a NAME, or --authority or --all (with --over)");
	TRY(order(in, "/v1/rotate", "name", &o));
	AUTO(mem_freep) char *safe = text_escaped(in->names[0]);
	(void)printf("%s: rotated; every worker serves the new version\n", safe);
	client_say_unstored(o);
	json_decref(o);
	return NULL;
}

static struct fault *run_delete(const struct cli_input *in)
{
	json_t *o = NULL;
	TRY(order(in, "/v1/delete", "name", &o));
	long long n = number_of(o, "subscribers");
	json_decref(o);
	AUTO(mem_freep) char *safe = text_escaped(in->names[0]);
	(void)printf("%s: deleted\n", safe);
	if (n)
		(void)printf("%lld subscribed streams: a running Envoy keeps the version it holds. Where the key must "
			     "not be used any more,\n"
			     "revoke the certificate at its authority and restart those proxies.\n",
			n);
	return NULL;
}

static struct fault *run_retry(const struct cli_input *in)
{
	json_t *o = NULL, *body = json_pack("{s:s}", "name", in->names[0]);
	if (in->name_count > 1)
		(void)json_object_set_new(body, "node", json_string(in->names[1]));
	struct fault *f = client_call(in, "/v1/retry", body, false, &o);
	json_decref(body);
	if (f)
		return f;
	AUTO(mem_freep) char *safe = text_escaped(in->names[0]);
	(void)printf("%s: offered again to %lld nodes\n", safe, number_of(o, "retried"));
	json_decref(o);
	return NULL;
}

static struct fault *run_reload(const struct cli_input *in)
{
	json_t *o = NULL, *body = json_object();
	struct fault *f = client_call(in, "/v1/reload", body, false, &o);
	json_decref(body);
	json_decref(o);
	if (!f)
		(void)puts("reloaded");
	return f;
}

static struct fault *run_log_level(const struct cli_input *in)
{
	json_t *o = NULL;
	TRY(order(in, "/v1/log-level", "level", &o));
	AUTO(mem_freep) char *level = safe_or_dash(o, "level");
	(void)printf("log level: %s\n", level);
	json_decref(o);
	return NULL;
}

const struct cli_command cli_rotate = {
	.name = "rotate",
	.arguments = "NAME | --authority A | --all",
	.summary = "issue a new version of a secret now, or of many, spread",
	.text = "Issues a new key and certificate for the secret (for each of its callers, where the name is "
		"templated) and returns when\n"
		"the new version is stored and every worker serves it. Many are ordered at once, and come spread over "
		"a "
		"time.\n\n"
		"example: leafcast rotate web-cert\n"
		"         leafcast rotate --authority mesh --over 1h",
	.options = {[OPTION_AUTHORITY] = {"authority", "A", "every secret whose certificate is from this authority"},
		[OPTION_ALL] = {"all", NULL, "every secret"},
		[OPTION_OVER] = {"over", "TIME", "how long it may take for all of them (default 10m)"}},
	.names_max = 1,
	.run = run_rotate,
};
const struct cli_command cli_delete = {
	.name = "delete",
	.arguments = "NAME",
	.summary = "forget a secret that was put",
	.text = "Forgets a secret that was put, its key included. Running proxies keep what they hold.\n\n"
		"example: leafcast delete legacy-cert",
	.names_min = 1,
	.names_max = 1,
	.run = run_delete,
};
const struct cli_command cli_retry = {
	.name = "retry",
	.arguments = "NAME [NODE]",
	.summary = "offer again what nodes NACKed",
	.text = "A version that a node NACKed is not offered to it again while it holds an older valid one (`leafcast "
		"status` lists\n"
		"such nodes). This ends that, for every node or for the one with this node.id: after what was wrong "
		"there "
		"is mended.\n\n"
		"example: leafcast retry web-cert envoy-1",
	.names_min = 1,
	.names_max = 2,
	.run = run_retry,
};
const struct cli_command cli_reload = {
	.name = "reload",
	.arguments = "",
	.summary = "read the config file again, whole or not at all",
	.text = "The same as SIGHUP, but says why a config was refused. The old one stays in force then.",
	.run = run_reload,
};
const struct cli_command cli_log_level = {
	.name = "log-level",
	.arguments = "error|warn|info|debug",
	.summary = "change how much is logged, until the next start",
	.text = "example: leafcast log-level debug",
	.names_min = 1,
	.names_max = 1,
	.run = run_log_level,
};
