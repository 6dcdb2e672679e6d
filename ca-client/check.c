#include "ca-client/check.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/gate.h"
#include "base/mem.h"

static struct fault *check_names(X509 *leaf, const struct san_set *expected)
{
	struct san_set found = {NULL, 0};
	struct fault *f = san_set_from_cert(leaf, &found);
	if (!f && !san_set_equal(&found, expected)) {
		struct buf want = BUF_INIT, got = BUF_INIT;
		san_set_print(expected, &want);
		san_set_print(&found, &got);
		f = fault_new(FAULT_CORRUPT, "asked for the names %.600s; the certificate has %.600s", buf_text(&want),
			buf_text(&got));
		buf_free(&want);
		buf_free(&got);
	}
	san_set_free(&found);
	return f;
}

static struct fault *check_key(X509 *leaf, EVP_PKEY *ours)
{
	EVP_PKEY *theirs = X509_get0_pubkey(leaf);
	bool same = theirs && EVP_PKEY_eq(theirs, ours) == 1;
	ERR_clear_error();
	return same ? NULL : fault_new(FAULT_CORRUPT, "the certificate is for another public key than the one we sent");
}

static struct fault *check_usages(X509 *leaf)
{
	uint32_t usage = X509_get_key_usage(leaf),
		 extended = X509_get_extended_key_usage(leaf); /* all set when absent */
	if (X509_check_ca(leaf) == 1)
		return fault_new(FAULT_CORRUPT, "a leaf was asked for; the certificate is a CA (CA:TRUE)");
	if (!(usage & KU_DIGITAL_SIGNATURE))
		return fault_new(FAULT_CORRUPT, "the certificate's keyUsage lacks digitalSignature");
	if (!(extended & XKU_SSL_SERVER) && !(extended & XKU_ANYEKU))
		return fault_new(FAULT_CORRUPT, "the certificate's extendedKeyUsage lacks serverAuth");
	if (!(extended & XKU_SSL_CLIENT) && !(extended & XKU_ANYEKU))
		return fault_new(FAULT_CORRUPT, "the certificate's extendedKeyUsage lacks clientAuth");
	return NULL;
}

static struct fault *check_validity(const struct cert_info *i, const struct check_expectation *e)
{
	char at[32], now[32];
	clock_format(e->now_ms, now, sizeof now);
	if (i->not_before_ms > e->now_ms + e->clock_skew_ms) {
		clock_format(i->not_before_ms, at, sizeof at);
		return fault_new(FAULT_CORRUPT,
			"the certificate begins at %s, it is %s here: one of the clocks is wrong", at, now);
	}
	clock_format(i->not_after_ms, at, sizeof at);
	if (i->not_after_ms <= e->now_ms)
		return fault_new(FAULT_CORRUPT,
			"the certificate ended at %s, it is %s here: one of the clocks is wrong", at, now);
	if (e->served_not_after_ms && i->not_after_ms < e->served_not_after_ms)
		return fault_new(FAULT_CORRUPT, "the certificate ends at %s, before the one that is served now", at);
	return NULL;
}

static struct fault *check(const struct credential *c, const struct check_expectation *e, struct anchors *anchors)
{
	X509 *leaf = credential_leaf(c);
	TRY(check_names(leaf, e->sans));
	TRY(check_usages(leaf));
	TRY(check_validity(credential_info(c), e));
	if (!anchors)
		return fault_new(FAULT_CORRUPT, "no anchor of this authority is known");
	/* Judged at a moment at which the chain is valid by its own account: skew was judged above. */
	int64_t at = credential_info(c)->not_before_ms > e->now_ms ? credential_info(c)->not_before_ms : e->now_ms;
	TRY(anchors_verify(anchors, credential_chain(c), X509_PURPOSE_SSL_SERVER, at));
	return gate_check_credential(c);
}

struct fault *check_answer(const struct ca_answer *a, const struct check_expectation *e, struct credential **ret)
{
	AUTO(credential_unrefp) struct credential *c = NULL;
	struct anchors *anchors = e->anchors ? e->anchors : a->anchors;
	struct fault *f = NULL;
	if (!a->chain || sk_X509_num(a->chain) == 0)
		f = fault_new(FAULT_CORRUPT, "no certificate in it");
	if (!f)
		f = check_key(sk_X509_value(a->chain, 0), e->key);
	if (!f)
		f = credential_new(a->chain, e->key, &c);
	if (!f)
		f = check(c, e, anchors);
	if (f) {
		AUTO(fault_freep) struct fault *cause = f;
		return fault_new(FAULT_CORRUPT, "rejected answer: %s", fault_text(cause));
	}
	*ret = TAKE(c);
	return NULL;
}
