/* daemon/cli/cmd_revoke.c - leafcast revoke */
#include <stdio.h>
#include "base/mem.h"
#include "base/text.h"
#include "daemon/cli/internal.h"

enum { OPTION_REASON };

static struct fault *run(const struct cli_input *in)
{
	json_t *o = NULL, *body = json_pack("{s:s}", "name", in->names[0]);
	if (in->options[OPTION_REASON])
		(void)json_object_set_new(body, "reason", json_string(in->options[OPTION_REASON]));
	struct fault *f = client_call(in, "/v1/revoke", body, false, &o);
	json_decref(body);
	if (f)
		return f;
	AUTO(mem_freep) char *safe = text_escaped(in->names[0]);
	AUTO(mem_freep) char *outcome = text_escaped(text_or_dash(o, "outcome"));
	(void)printf("%s: a new certificate is served, and the key of the old one is destroyed.\nrevocation: %s\n",
		safe, outcome);
	json_decref(o);
	return NULL;
}

const struct cli_command cli_revoke = {
	.name = "revoke",
	.arguments = "NAME",
	.summary = "replace a certificate, revoke the old one, destroy its key",
	.text = "A new key and certificate come first, and are pushed. When the proxies have taken them (silent ones "
		"are waited "
		"for\n"
		"30 s), the authority is told to revoke the old certificate, where it can; what was done is said and "
		"recorded. The\n"
		"order outlives a restart. For a compromised root see the README.\n\n"
		"example: leafcast revoke web-cert --reason key-compromise",
	.options = {[OPTION_REASON] = {"reason", "WHY",
			    "unspecified (default), key-compromise, affiliation-changed, superseded, "
			    "cessation-of-operation"}},
	.names_min = 1,
	.names_max = 1,
	.run = run,
};
