/* daemon/cli/cmd_get.c - leafcast get: a secret as files, for the operator. */
#include <stdio.h>
#include <string.h>
#include "base/io/file.h"
#include "base/mem.h"
#include "daemon/cli/internal.h"

enum { OPTION_CERT, OPTION_KEY, OPTION_BUNDLE };

static struct fault *save(const json_t *o, const char *key, const char *path)
{
	const char *pem = json_string_value(json_object_get(o, key));
	if (!path)
		return NULL;
	if (!pem)
		return fault_new(FAULT_INVALID, "this secret is a %s: it has no %s", text_or_dash(o, "kind"), key);
	return file_write(path, 0600, pem, strlen(pem));
}

static struct fault *run(const struct cli_input *in)
{
	json_t *body = json_pack("{s:s}", "name", in->names[0]), *o = NULL;
	struct fault *f = client_call(in, "/v1/get", body, true, &o);
	json_decref(body);
	TRY(f);
	bool any = in->options[OPTION_CERT] || in->options[OPTION_KEY] || in->options[OPTION_BUNDLE];
	if (!any) /* the public part alone: a private key is never printed */
		(void)fputs(text_or_dash(o, json_object_get(o, "bundle") ? "bundle" : "cert"), stdout);
	f = save(o, "cert", in->options[OPTION_CERT]);
	if (!f)
		f = save(o, "key", in->options[OPTION_KEY]);
	if (!f)
		f = save(o, "bundle", in->options[OPTION_BUNDLE]);
	json_decref(o);
	return f;
}

const struct cli_command cli_get = {
	.name = "get",
	.arguments = "NAME",
	.summary = "read a secret: certificates on stdout, or all of it into files",
	.text = "Without options the certificates are printed; a private key is only ever written to a file (0600). "
		"Each read is logged\n"
		"with the caller's uid.\n\n"
		"example: leafcast get web-cert --cert web.pem --key web.key",
	.options = {[OPTION_CERT] = {"cert", "FILE", "write the certificate and its issuers here"},
		[OPTION_KEY] = {"key", "FILE", "write the private key here"},
		[OPTION_BUNDLE] = {"bundle", "FILE", "write the CA certificates here"}},
	.names_min = 1,
	.names_max = 1,
	.run = run,
};
