#include "ca-client/builtin_sign.h"
#include <openssl/x509v3.h>
#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/text.h"
#include "ca-client/builtin.h"
#include "ca-client/builtin_cert.h"
#include "ca-client/builtin_hierarchy.h"

#define BACKDATE_MAX_MS (INT64_C(30) * MS_PER_S)

int64_t builtin_backdate_ms(int64_t lifetime_ms)
{
	return lifetime_ms / 10 < BACKDATE_MAX_MS ? lifetime_ms / 10 : BACKDATE_MAX_MS;
}

void leaf_order_init(struct leaf_order *l, const struct ca_request *r, int64_t now_ms)
{
	l->csr = X509_REQ_dup(r->csr);
	invariant(l->csr);
	san_set_copy(r->sans, &l->sans);
	l->lifetime_ms = r->lifetime_ms;
	l->now_ms = now_ms;
}

void leaf_order_done(struct leaf_order *l)
{
	X509_REQ_free(l->csr);
	san_set_free(&l->sans);
}

static struct fault *unavailable(const char *what, int64_t at_ms)
{
	char at[32];
	clock_format(at_ms, at, sizeof at);
	return fault_set_retryable(fault_new(FAULT_UNAVAILABLE, "%s %s", what, at), -1);
}

/* RFC 5280 has no such rule, but a path is valid only while every certificate of it is: a leaf that promises more would
 * fail before its time. */
static struct fault *validity(const struct hierarchy *h, const struct leaf_order *l, int64_t *ret_from, int64_t *ret_to)
{
	int64_t begin = h->not_before_ms, end = h->not_after_ms;
	int64_t backdate = builtin_backdate_ms(l->lifetime_ms);
	if (end <= l->now_ms)
		return unavailable("the CA's certificate ended at", end);
	if (begin > l->now_ms)
		return unavailable("by our clock the CA's certificate is not valid yet; it begins at", begin);
	*ret_from = l->now_ms - backdate > begin ? l->now_ms - backdate : begin;
	*ret_to = l->now_ms + l->lifetime_ms < end ? l->now_ms + l->lifetime_ms : end;
	return NULL;
}

static struct fault *add_names(X509 *leaf, const struct san_set *sans)
{
	X509_EXTENSION *names = NULL;
	TRY(san_set_to_extension(sans, true, &names)); /* critical: the subject is empty (RFC 5280 4.2.1.6) */
	bool added = X509_add_ext(leaf, names, -1) == 1;
	X509_EXTENSION_free(names);
	return added ? NULL : fault_openssl(FAULT_INTERNAL, "names of a leaf");
}

static struct fault *fill(X509 *leaf, const struct hierarchy *h, const struct leaf_order *l, EVP_PKEY *key)
{
	int64_t from = 0, to = 0;
	/* RFC 5280 4.2.1.3: keyEncipherment is for RSA key exchange (TLS 1.2). */
	bool rsa = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
	TRY(validity(h, l, &from, &to));
	TRY(builtin_cert_begin(leaf, h->issuer, key));
	TRY(builtin_cert_set_validity(leaf, from, to));
	TRY(builtin_cert_add(leaf, NID_basic_constraints, "critical,CA:FALSE"));
	TRY(builtin_cert_add(
		leaf, NID_key_usage, rsa ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature"));
	TRY(builtin_cert_add(leaf, NID_ext_key_usage, "serverAuth,clientAuth"));
	TRY(builtin_cert_add_key_ids(leaf, h->issuer));
	return add_names(leaf, &l->sans);
}

static void push(STACK_OF(X509) * chain, X509 *cert)
{
	invariant(X509_up_ref(cert) == 1 && sk_X509_push(chain, cert) > 0);
}

static struct fault *check_lifetime(int64_t ms)
{
	char asked[32], least[32], most[32];
	if (ms >= BUILTIN_LIFETIME_MIN_MS && ms <= BUILTIN_LIFETIME_MAX_MS)
		return NULL;
	text_duration(ms, asked, sizeof asked);
	text_duration(BUILTIN_LIFETIME_MIN_MS, least, sizeof least);
	text_duration(BUILTIN_LIFETIME_MAX_MS, most, sizeof most);
	return fault_new(FAULT_INVALID, "a lifetime of %s; %s to %s are possible", asked, least, most);
}

struct fault *leaf_sign(const struct hierarchy *h, const struct leaf_order *l, STACK_OF(X509) * *ret)
{
	EVP_PKEY *key = X509_REQ_get0_pubkey(l->csr);
	TRY(check_lifetime(l->lifetime_ms));
	if (!key || X509_REQ_verify(l->csr, key) != 1)
		return fault_openssl(FAULT_INVALID, "the certificate request is not signed by its own key");
	X509 *leaf = X509_new();
	STACK_OF(X509) *chain = sk_X509_new_null();
	invariant(leaf && chain && sk_X509_push(chain, leaf) > 0);
	struct fault *f = fill(leaf, h, l, key);
	if (!f)
		f = builtin_cert_sign(leaf, h->issuer_key);
	if (f) {
		sk_X509_pop_free(chain, X509_free);
		return f;
	}
	push(chain, h->issuer);
	for (int i = 0; i < sk_X509_num(h->above); i++)
		push(chain, sk_X509_value(h->above, i));
	*ret = chain;
	return NULL;
}
