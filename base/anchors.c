#include "base/anchors.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/pem.h"
#include "base/ref.h"

struct anchor {
	X509 *cert;
	struct cert_info info;
};

struct anchors {
	struct ref ref;
	struct anchor *items; /* sorted by info.sha256 */
	size_t count;
};

static int by_digest(const void *a, const void *b)
{
	return strcmp(((const struct anchor *)a)->info.sha256, ((const struct anchor *)b)->info.sha256);
}

/* A CA by basicConstraints (1), or an old self-signed version 1 certificate (3); or self-signed: that one is pinned and
 * stands for itself alone. Anything else is some leaf that got into the bundle, and Envoy would take it, silently. */
static bool can_be_anchor(X509 *cert)
{
	int ca = X509_check_ca(cert);
	bool yes = ca == 1 || ca == 3 || X509_self_signed(cert, 1) == 1;
	ERR_clear_error();
	return yes;
}

static struct fault *add(struct anchors *a, X509 *cert)
{
	struct cert_info info;
	TRY(cert_info_read(cert, &info));
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i].info.sha256, info.sha256) == 0) {
			cert_info_free(&info);
			return NULL;
		}
	struct fault *f = NULL;
	if (!can_be_anchor(cert))
		f = fault_new(FAULT_INVALID,
			"certificate \"%.200s\" (serial %.64s) is no CA (CA:TRUE and keyCertSign are needed): it can "
			"be no anchor",
			info.subject, info.serial);
	else if (a->count == ANCHORS_MAX)
		f = fault_new(FAULT_INVALID, "more than %d certificates in one bundle", ANCHORS_MAX);
	if (f) {
		cert_info_free(&info);
		return f;
	}
	a->items = mem_realloc(a->items, (a->count + 1) * sizeof *a->items);
	invariant(X509_up_ref(cert) == 1);
	a->items[a->count++] = (struct anchor){cert, info};
	return NULL;
}

/* RFC 8446 4.2.4: certificate_authorities holds at most 2^16-1 bytes, each name with a length of two bytes before it.
 * In TLS 1.3 it is an extension of the CertificateRequest, and all of them together have 2^16-1 bytes: room is left for
 * the signature algorithms and what else may come. */
static struct fault *check_sizes(const struct anchors *a)
{
	size_t names = 0;
	struct buf pem = BUF_INIT;
	for (size_t i = 0; i < a->count; i++)
		names += 2 + (size_t)i2d_X509_NAME(X509_get_subject_name(a->items[i].cert), NULL);
	anchors_pem(a, &pem);
	size_t len = pem.len;
	buf_free(&pem);
	if (names > ANCHORS_NAMES_MAX)
		return fault_new(FAULT_INVALID,
			"the names of these %zu CAs take %zu bytes; a TLS server can send %zu: every handshake would "
			"fail",
			a->count, names, ANCHORS_NAMES_MAX);
	if (len > ANCHORS_PEM_MAX)
		return fault_new(FAULT_INVALID, "a bundle of %zu bytes; at most %zu", len, ANCHORS_PEM_MAX);
	return NULL;
}

static struct fault *finish(struct anchors *a, struct fault *f, struct anchors **ret)
{
	if (!f && a->count == 0)
		f = fault_new(FAULT_INVALID, "a bundle without a certificate: Envoy would verify nobody");
	if (!f) {
		qsort(a->items, a->count, sizeof *a->items, by_digest);
		f = check_sizes(a);
	}
	if (f)
		anchors_unref(a);
	else
		*ret = a;
	return f;
}

static struct anchors *empty(void)
{
	struct anchors *a = mem_new(struct anchors);
	ref_init(&a->ref);
	return a;
}

struct fault *anchors_new(STACK_OF(X509) * certs, struct anchors **ret)
{
	struct anchors *a = empty();
	struct fault *f = NULL;
	for (int i = 0; i < sk_X509_num(certs) && !f; i++)
		f = add(a, sk_X509_value(certs, i));
	return finish(a, f, ret);
}

struct fault *anchors_union(struct anchors *const *sets, size_t count, struct anchors **ret)
{
	struct anchors *a = empty();
	struct fault *f = NULL;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < sets[i]->count && !f; k++)
			f = add(a, sets[i]->items[k].cert);
	return finish(a, f, ret);
}

struct fault *anchors_from_pem(const void *pem, size_t len, struct anchors **ret)
{
	if (len > ANCHORS_PEM_MAX)
		return fault_new(FAULT_INVALID, "a bundle of %zu bytes; at most %zu", len, ANCHORS_PEM_MAX);
	STACK_OF(X509) *certs = sk_X509_new_null();
	invariant(certs);
	struct fault *f = pem_read_certs(pem, len, ANCHORS_READ_MAX, certs);
	if (!f)
		f = anchors_new(certs, ret);
	sk_X509_pop_free(certs, X509_free);
	return f;
}

struct anchors *anchors_ref(struct anchors *a)
{
	ref_up(&a->ref);
	return a;
}

void anchors_unref(struct anchors *a)
{
	if (!a || !ref_down(&a->ref))
		return;
	for (size_t i = 0; i < a->count; i++) {
		X509_free(a->items[i].cert);
		cert_info_free(&a->items[i].info);
	}
	free(a->items);
	free(a);
}

void anchors_unrefp(struct anchors **a)
{
	anchors_unref(*a);
	*a = NULL;
}

size_t anchors_count(const struct anchors *a)
{
	return a->count;
}

const struct cert_info *anchors_info(const struct anchors *a, size_t i)
{
	return &a->items[i].info;
}

X509 *anchors_cert(const struct anchors *a, size_t i)
{
	return a->items[i].cert;
}

bool anchors_equal(const struct anchors *a, const struct anchors *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (by_digest(&a->items[i], &b->items[i]) != 0)
			return false;
	return true;
}

bool anchors_contain(const struct anchors *a, X509 *cert)
{
	for (size_t i = 0; i < a->count; i++)
		if (X509_cmp(a->items[i].cert, cert) == 0)
			return true;
	return false;
}

void anchors_pem(const struct anchors *a, struct buf *ret)
{
	for (size_t i = 0; i < a->count; i++)
		pem_add_cert(a->items[i].cert, ret);
}

static struct fault *describe_failure(X509_STORE_CTX *ctx)
{
	int e = X509_STORE_CTX_get_error(ctx);
	X509 *at = X509_STORE_CTX_get_current_cert(ctx);
	struct cert_info info;
	struct fault *f = at ? cert_info_read(at, &info) : fault_new(FAULT_INTERNAL, "no certificate");
	if (f) {
		fault_free(f);
		return fault_new(FAULT_INVALID, "chain: %s", X509_verify_cert_error_string(e));
	}
	/* Our own leaves have no subject. */
	struct buf names = BUF_INIT;
	if (!*info.subject)
		san_set_print(&info.sans, &names);
	f = fault_new(FAULT_INVALID, "certificate \"%.200s\" (serial %.64s, issuer \"%.200s\"): %s",
		*info.subject ? info.subject : buf_text(&names), info.serial, info.issuer,
		X509_verify_cert_error_string(e));
	buf_free(&names);
	cert_info_free(&info);
	return f;
}

struct fault *anchors_verify(const struct anchors *a, STACK_OF(X509) * chain, int purpose, int64_t at_ms)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	invariant(store && ctx);
	for (size_t i = 0; i < a->count; i++)
		invariant(X509_STORE_add_cert(store, a->items[i].cert) == 1);
	X509_VERIFY_PARAM *p = X509_STORE_get0_param(store);
	X509_VERIFY_PARAM_set_time(p, (time_t)(at_ms / 1000));
	/* An anchor need not be a root: an operator may trust an intermediate. */
	(void)X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_PARTIAL_CHAIN);
	if (purpose)
		invariant(X509_VERIFY_PARAM_set_purpose(p, purpose) == 1);
	struct fault *f = NULL;
	if (X509_STORE_CTX_init(ctx, store, sk_X509_value(chain, 0), chain) != 1)
		f = fault_openssl(FAULT_INTERNAL, "chain verification");
	else if (X509_verify_cert(ctx) != 1)
		f = describe_failure(ctx);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	ERR_clear_error();
	return f;
}
