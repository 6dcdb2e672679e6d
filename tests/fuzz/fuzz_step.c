/* What step-ca says: leaves (0), roots (1), one root (2), refusals (3); and the key files that its tools write: as JWK
 * or PEM (4), as a JWE of a password that is right for it (5). Nothing is given out with a fault, or without one. */
#include <openssl/err.h>
#include <string.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/text.h"
#include "ca-client/step_internal.h"
#include "ca-client/step_jwe.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_chain(const json_t *root)
{
	STACK_OF(X509) *chain = NULL;
	struct fault *f = step_answer_chain(root, &chain);
	invariant((f == NULL) == (chain != NULL));
	invariant(!chain || (sk_X509_num(chain) > 0 && sk_X509_num(chain) <= CREDENTIAL_CHAIN_MAX));
	fault_free(f);
	sk_X509_pop_free(chain, X509_free);
}

static void check_roots(const json_t *root, bool one)
{
	static const char sha256[] = "0000000000000000000000000000000000000000000000000000000000000000";
	struct anchors *a = NULL;
	struct fault *f = one ? step_answer_root(root, sha256, &a) : step_answer_roots(root, &a);
	invariant((f == NULL) == (a != NULL));
	invariant(!one || f); /* nobody has that fingerprint */
	fault_free(f);
	anchors_unref(a);
}

static void check_refusal(const json_t *root, int status)
{
	struct fault *f = step_answer_fault(status, root, -1);
	invariant(f);
	invariant(text_is_utf8(fault_text(f), strlen(fault_text(f))));
	for (const char *at = fault_text(f); *at; at++)
		invariant((unsigned char)*at >= ' ');
	fault_free(f);
}

static void check_answer(unsigned kind, int status, const struct input *in)
{
	json_t *root = json_loadb((const char *)in->at, in->left, JSON_REJECT_DUPLICATES, NULL);
	if (kind == 0)
		check_chain(root);
	else if (kind < 3)
		check_roots(root, kind == 2);
	else
		check_refusal(root, status);
	json_decref(root);
}

static void check_key(const struct input *in)
{
	struct step_signer *s = NULL;
	struct fault *f = step_signer_new(in->at, in->left, "secret word", NULL, NULL, &s);
	invariant((f == NULL) == (s != NULL));
	fault_free(f);
	step_signer_free(s);
}

static void check_jwe(const struct input *in)
{
	struct buf b = BUF_SECRET_INIT;
	struct fault *f = step_jwe_open((const char *)in->at, in->left, "secret word", &b);
	invariant((f == NULL) == (b.len > 0));
	invariant(f || step_jwe_is((const char *)in->at, in->left));
	fault_free(f);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const int statuses[] = {400, 401, 403, 404, 429, 500, 501, 503};
	struct input in = {data, len};
	unsigned first = input_byte(&in), kind = first % 6;
	if (kind < 4)
		check_answer(kind, statuses[first / 6 % 8], &in);
	else if (kind == 4)
		check_key(&in);
	else
		check_jwe(&in);
	invariant(ERR_peek_error() == 0);
	return 0;
}
