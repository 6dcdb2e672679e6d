/* daemon/cli/cmd_put.c - leafcast put: material that the operator brings. */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "base/io/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/cli/internal.h"

#define FILE_MAX ((size_t)1024 * 1024)
#define PASSWORD_MAX ((size_t)1024)

enum { OPTION_CERT, OPTION_KEY, OPTION_BUNDLE, OPTION_PASSWORD };

static struct fault *add_file(json_t *body, const char *key, const char *path, size_t max, bool is_line)
{
	struct buf bytes = BUF_SECRET_INIT, text = BUF_SECRET_INIT;
	if (!path)
		return NULL;
	struct fault *f = file_read(path, max, &bytes);
	if (!f && is_line)
		buf_truncate(&bytes, strcspn(buf_text(&bytes), "\r\n"));
	if (!f && bytes.len == 0)
		f = fault_new(FAULT_INVALID, "%s is empty", path);
	if (!f) {
		size_t len = 4 * ((bytes.len + 2) / 3);
		unsigned char *at = buf_extend(&text, len);
		(void)EVP_EncodeBlock(at, bytes.data, (int)bytes.len);
		(void)json_object_set_new(body, key, json_stringn((const char *)text.data, len));
	}
	buf_free(&bytes);
	buf_free(&text);
	return f;
}

static struct fault *check(const struct cli_input *in)
{
	bool cert = in->options[OPTION_CERT], key = in->options[OPTION_KEY], bundle = in->options[OPTION_BUNDLE];
	if (cert == bundle)
		return fault_new(FAULT_INVALID,
			"give either --cert FILE --key FILE (one PKCS#12 file needs no --key) or --bundle FILE");
	if (bundle && key)
		return fault_new(FAULT_INVALID, "a bundle has no key");
	return NULL;
}

static struct fault *run(const struct cli_input *in)
{
	TRY(check(in));
	json_t *body = json_pack("{s:s}", "name", in->names[0]), *o = NULL;
	struct fault *f = add_file(body, "cert", in->options[OPTION_CERT], FILE_MAX, false);
	if (!f)
		f = add_file(body, "key", in->options[OPTION_KEY], FILE_MAX, false);
	if (!f)
		f = add_file(body, "bundle", in->options[OPTION_BUNDLE], FILE_MAX, false);
	if (!f)
		f = add_file(body, "password", in->options[OPTION_PASSWORD], PASSWORD_MAX, true);
	if (!f)
		f = client_call(in, "/v1/put", body, true, &o);
	json_decref(body);
	json_decref(o);
	AUTO(mem_freep) char *safe = text_escaped(in->names[0]);
	if (!f)
		(void)printf("%s: stored; every worker serves it\n", safe);
	return f;
}

const struct cli_command cli_put = {
	.name = "put",
	.arguments = "NAME",
	.summary = "bring a certificate and key, or a trust bundle",
	.text = "Stores material of yours under a name, sealed, and pushes it at once. PEM (keys may be encrypted), "
		"DER and PKCS#12 are\n"
		"told apart by content. What Envoy would refuse, or apply without verifying anybody, is refused "
		"here.\n\n"
		"example: leafcast put legacy-cert --cert web.pem --key web.key\n"
		"         leafcast put partner-roots --bundle partner-ca.pem",
	.options = {[OPTION_CERT] = {"cert", "FILE", "certificate and issuers; or a PKCS#12 with its key"},
		[OPTION_KEY] = {"key", "FILE", "the private key"},
		[OPTION_BUNDLE] = {"bundle", "FILE", "CA certificates"},
		[OPTION_PASSWORD] = {"password-file", "FILE", "its first line opens an encrypted key or PKCS#12"}},
	.names_min = 1,
	.names_max = 1,
	.run = run,
};
