/* tests/fuzz/fuzz_vault.c - JSON answers of a Vault or OpenBao server. The first byte says which answer is due, the
 * second is a status, the others are the body. What is taken is bounded, a refusal is told in UTF-8, and what must not
 * be repeated is not. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/secret.h"
#include "base/text.h"
#include "ca-client/vault_internal.h"
#include "tests/fuzz/input.h"

enum { TEXTS_MAX = 8 * 1024, CERTS_MAX = 2 * CREDENTIAL_CHAIN_MAX };
static const char token[] = "hvs.our-own-token";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_text(const char *text)
{
	invariant(text_is_utf8(text, strlen(text)) && strlen(text) <= TEXTS_MAX);
	for (const char *c = text; *c; c++)
		invariant((unsigned char)*c >= 0x20 && *c != 0x7f);
}

/* CORRUPT or DENIED, or there is something. */
static bool is_taken(struct fault *f)
{
	if (!f)
		return true;
	invariant(fault_code(f) == FAULT_CORRUPT || fault_code(f) == FAULT_DENIED);
	check_text(fault_text(f));
	fault_free(f);
	return false;
}

static struct secret *our_token(void)
{
	struct secret *s = NULL;
	fault_ignore(secret_new(token, sizeof token - 1, &s), "seen by its result");
	invariant(s);
	return s;
}

static void try_fault(const json_t *root, int status)
{
	struct secret *hidden = our_token();
	const struct secret *hide[] = {NULL, hidden};
	struct fault *f = vault_answer_fault(status, root, -1, hide, ARRAY_LEN(hide));
	check_text(fault_text(f));
	invariant(!strstr(fault_text(f), token));
	fault_free(f);
	secret_free(hidden);
}

static void try_chain(const json_t *root, int status)
{
	(void)status;
	STACK_OF(X509) *chain = NULL;
	if (!is_taken(vault_answer_chain(root, &chain))) {
		invariant(!chain);
		return;
	}
	invariant(sk_X509_num(chain) >= 1 && sk_X509_num(chain) <= CREDENTIAL_CHAIN_MAX);
	sk_X509_pop_free(chain, X509_free);
}

static void try_issuer(const json_t *root, int status)
{
	(void)status;
	STACK_OF(X509) *certs = sk_X509_new_null();
	bool taken = is_taken(vault_answer_issuer(root, certs));
	invariant(taken == (sk_X509_num(certs) > 0) && sk_X509_num(certs) <= CERTS_MAX);
	sk_X509_pop_free(certs, X509_free);
}

static void try_issuers(const json_t *root, int status)
{
	(void)status;
	char **ids = NULL;
	size_t count = 0;
	if (!is_taken(vault_answer_issuers(root, &ids, &count)))
		return;
	invariant(count > 0);
	for (size_t i = 0; i < count; i++) /* a part of a path */
		invariant(*ids[i] && !strpbrk(ids[i], "/?#%.\r\n "));
	vault_texts_free(ids, count);
}

static void try_login(const json_t *root, int status)
{
	(void)status;
	struct secret *got = NULL;
	struct vault_lease lease = {-1, false};
	if (!is_taken(vault_answer_login(root, &got, &lease))) {
		invariant(!got);
		return;
	}
	size_t len;
	const char *text = (const char *)secret_bytes(got, &len);
	invariant(len == strlen(text) && len > 0 && !strpbrk(text, "\r\n ") && lease.lease_ms >= 0);
	secret_free(got);
}

static void try_lookup(const json_t *root, int status)
{
	(void)status;
	struct vault_lease lease = {-1, false};
	if (is_taken(vault_answer_lookup(root, &lease)))
		invariant(lease.lease_ms >= 0);
}

static void try_texts(const json_t *root, int status)
{
	(void)status;
	struct secret *hidden = our_token();
	struct buf warnings = BUF_INIT, traps = BUF_INIT;
	vault_answer_warnings(root, hidden, &warnings);
	invariant(warnings.len <= TEXTS_MAX && !strstr(buf_text(&warnings), token));
	secret_free(hidden);
	if (is_taken(vault_answer_traps(root, &traps)))
		check_text(buf_text(&traps));
	buf_free(&warnings);
	buf_free(&traps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const tries[])(const json_t *root, int status) = {
		try_fault, try_chain, try_issuer, try_issuers, try_login, try_lookup, try_texts};
	static const int statuses[] = {200, 301, 400, 401, 403, 404, 408, 412, 425, 429, 472, 473, 500, 501, 503, 600};
	struct input in = {data, len};
	unsigned which = input_byte(&in) % ARRAY_LEN(tries), status = input_byte(&in) % ARRAY_LEN(statuses);
	json_t *root = json_loadb((const char *)in.at, in.left, 0, NULL); /* NULL: no JSON came, which is an answer */
	tries[which](root, statuses[status]);
	json_decref(root);
	return 0;
}
