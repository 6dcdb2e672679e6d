#include "ca-client/builtin_hierarchy.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/pem.h"
#include "base/secret.h"
#include "ca-client/builtin_cert.h"
#include "ca-client/keygen.h"

#define ROOT_LIFE_MS (INT64_C(3652) * MS_PER_DAY) /* ten years */
#define ISSUER_LIFE_MS (INT64_C(365) * MS_PER_DAY)
#define BACKDATE_MS (INT64_C(5) * MS_PER_MIN) /* peers' clocks differ */

/* A CA being made or taken apart: what hierarchies leave out. */
struct pair {
	X509 *cert;
	EVP_PKEY *key;
};

static void pair_done(struct pair *p)
{
	X509_free(p->cert);
	EVP_PKEY_free(p->key);
	*p = (struct pair){NULL, NULL};
}

/* --- certificates --- */

static struct fault *set_subject(X509 *cert, const char *name)
{
	if (X509_NAME_add_entry_by_txt(
		    X509_get_subject_name(cert), "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) != 1)
		return fault_openssl(FAULT_INVALID, "the CA's name");
	return NULL;
}

static struct fault *fill_ca(X509 *cert, X509 *issuer, EVP_PKEY *key, const char *constraints)
{
	TRY(builtin_cert_begin(cert, issuer, key));
	TRY(builtin_cert_add(cert, NID_basic_constraints, constraints));
	TRY(builtin_cert_add(cert, NID_key_usage, "critical,keyCertSign,cRLSign"));
	return builtin_cert_add_key_ids(cert, issuer);
}

static struct fault *make_root(enum key_type type, const char *name, int64_t now, struct pair *ret)
{
	TRY(keygen_key(type, &ret->key));
	ret->cert = X509_new();
	invariant(ret->cert);
	TRY(set_subject(ret->cert, name)); /* first: it is its own issuer */
	TRY(fill_ca(ret->cert, ret->cert, ret->key, "critical,CA:TRUE,pathlen:1"));
	TRY(builtin_cert_set_validity(ret->cert, now - BACKDATE_MS, now + ROOT_LIFE_MS));
	return builtin_cert_sign(ret->cert, ret->key);
}

/* The root's end bounds the issuing CA's. */
static struct fault *issuer_validity(X509 *root, int64_t now, int64_t *ret_from, int64_t *ret_to)
{
	struct cert_info i;
	TRY(cert_info_read(root, &i));
	int64_t begin = i.not_before_ms, end = i.not_after_ms;
	cert_info_free(&i);
	if (end <= now)
		return fault_set_retryable(fault_new(FAULT_UNAVAILABLE, "the root has ended"), -1);
	if (begin > now)
		return fault_set_retryable(
			fault_new(FAULT_UNAVAILABLE, "the root is not valid yet: the clock is wrong"), -1);
	*ret_from = now - BACKDATE_MS > begin ? now - BACKDATE_MS : begin;
	*ret_to = now + ISSUER_LIFE_MS < end ? now + ISSUER_LIFE_MS : end;
	return NULL;
}

static struct fault *common_name_of(X509 *cert, char **ret)
{
	unsigned char *text = NULL;
	X509_NAME *subject = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	int len = at < 0 ? -1 : ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	if (len < 0)
		return fault_new(FAULT_CORRUPT, "the stored root has no name");
	*ret = mem_strndup((const char *)text, (size_t)len);
	OPENSSL_free(text);
	return NULL;
}

static struct fault *make_issuer(enum key_type type, const struct pair *root, int64_t now, struct pair *ret)
{
	AUTO(mem_freep) char *root_name = NULL;
	int64_t from = 0, to = 0;
	TRY(common_name_of(root->cert, &root_name));
	TRY(issuer_validity(root->cert, now, &from, &to));
	AUTO(mem_freep) char *name = mem_printf("%s issuing", root_name);
	TRY(keygen_key(type, &ret->key));
	ret->cert = X509_new();
	invariant(ret->cert);
	TRY(set_subject(ret->cert, name));
	TRY(fill_ca(ret->cert, root->cert, ret->key, "critical,CA:TRUE,pathlen:0"));
	TRY(builtin_cert_set_validity(ret->cert, from, to));
	return builtin_cert_sign(ret->cert, root->key);
}

/* --- as bytes: root, its key, issuing CA, its key, one PEM block after the other --- */

static struct fault *add_pair(const struct pair *p, struct buf *ret)
{
	AUTO(secret_freep) struct secret *key = NULL;
	size_t len;
	pem_add_cert(p->cert, ret);
	TRY(pem_write_key(p->key, &key));
	const unsigned char *bytes = secret_bytes(key, &len);
	buf_add(ret, bytes, len);
	return NULL;
}

static struct fault *encode(const struct pair *root, const struct pair *issuer, struct secret **ret)
{
	struct buf pem = BUF_SECRET_INIT;
	struct fault *f = add_pair(root, &pem);
	if (!f)
		f = add_pair(issuer, &pem);
	if (!f)
		f = secret_new(pem.data, pem.len, ret);
	buf_free(&pem);
	return f;
}

static struct fault *read_pairs(const struct secret *bytes, STACK_OF(X509) * certs, EVP_PKEY *keys[2])
{
	size_t len, count;
	const unsigned char *pem = secret_bytes(bytes, &len);
	TRY(pem_read_certs(pem, len, 2, certs));
	TRY(pem_read_keys(pem, len, NULL, keys, 2, &count));
	if (sk_X509_num(certs) != 2 || count != 2)
		return fault_new(FAULT_CORRUPT, "%d certificates and %zu keys; 2 of each are expected",
			sk_X509_num(certs), count);
	if (X509_check_private_key(sk_X509_value(certs, 0), keys[0]) != 1 ||
		X509_check_private_key(sk_X509_value(certs, 1), keys[1]) != 1 ||
		!hierarchy_has_issued(sk_X509_value(certs, 0), sk_X509_value(certs, 1)))
		return fault_openssl(FAULT_CORRUPT, "its certificates and keys do not fit together");
	return NULL;
}

static struct fault *decode(const struct secret *bytes, struct pair *root, struct pair *issuer)
{
	EVP_PKEY *keys[2] = {NULL, NULL};
	STACK_OF(X509) *certs = sk_X509_new_null();
	invariant(certs);
	struct fault *f = read_pairs(bytes, certs, keys);
	if (!f) {
		*root = (struct pair){sk_X509_shift(certs), TAKE(keys[0])};
		*issuer = (struct pair){sk_X509_shift(certs), TAKE(keys[1])};
	}
	EVP_PKEY_free(keys[0]);
	EVP_PKEY_free(keys[1]);
	sk_X509_pop_free(certs, X509_free);
	if (!f)
		return NULL;
	AUTO(fault_freep) struct fault *cause = f;
	return fault_new(FAULT_CORRUPT, "the stored CA cannot be used: %s", fault_text(cause));
}

/* --- the whole --- */

/* The time in which every certificate from the issuer to the top is valid. */
static struct fault *find_validity(struct hierarchy *h)
{
	h->not_before_ms = h->issuer_info.not_before_ms;
	h->not_after_ms = h->issuer_info.not_after_ms;
	for (int i = 0; i < sk_X509_num(h->above); i++) {
		struct cert_info info;
		TRY(cert_info_read(sk_X509_value(h->above, i), &info));
		if (info.not_before_ms > h->not_before_ms)
			h->not_before_ms = info.not_before_ms;
		if (info.not_after_ms < h->not_after_ms)
			h->not_after_ms = info.not_after_ms;
		cert_info_free(&info);
	}
	return NULL;
}

static struct fault *describe(struct hierarchy *h)
{
	int count = sk_X509_num(h->above);
	STACK_OF(X509) *top = sk_X509_new_null();
	invariant(top && sk_X509_push(top, count ? sk_X509_value(h->above, count - 1) : h->issuer) > 0);
	struct fault *f = anchors_new(top, &h->anchors);
	sk_X509_free(top);
	TRY(f);
	TRY(cert_info_read(h->issuer, &h->issuer_info));
	return find_validity(h);
}

struct fault *hierarchy_take(
	X509 *issuer, EVP_PKEY *issuer_key, STACK_OF(X509) * above, bool given, struct hierarchy **ret)
{
	AUTO(hierarchy_unrefp) struct hierarchy *h = mem_new(struct hierarchy);
	ref_init(&h->ref);
	h->given = given;
	h->issuer = issuer;
	h->issuer_key = issuer_key;
	h->above = above;
	TRY(describe(h));
	*ret = TAKE(h);
	return NULL;
}

static struct fault *take_pairs(struct pair *root, struct pair *issuer, struct hierarchy **ret)
{
	STACK_OF(X509) *above = sk_X509_new_null();
	invariant(above && sk_X509_push(above, root->cert) > 0);
	root->cert = NULL;
	return hierarchy_take(TAKE(issuer->cert), TAKE(issuer->key), above, false, ret);
}

/* Encodes, then takes the pairs apart. */
static struct fault *finish(
	struct fault *f, struct pair *root, struct pair *issuer, struct hierarchy **ret, struct secret **ret_bytes)
{
	AUTO(secret_freep) struct secret *bytes = NULL;
	if (!f && ret_bytes)
		f = encode(root, issuer, &bytes);
	if (!f)
		f = take_pairs(root, issuer, ret);
	pair_done(root);
	pair_done(issuer);
	if (!f && ret_bytes)
		*ret_bytes = TAKE(bytes);
	return f;
}

char *hierarchy_name(const char *common_name, const char *authority)
{
	char *name = common_name ? mem_strdup(common_name) : mem_printf("leafcast %s", authority);
	size_t characters = 0;
	for (char *p = name; *p; p++)
		if (((unsigned char)*p & 0xc0) != 0x80 && characters++ == HIERARCHY_NAME_MAX) {
			*p = 0;
			break;
		}
	return name;
}

struct fault *hierarchy_create(
	enum key_type type, const char *name, int64_t now_ms, struct hierarchy **ret, struct secret **ret_bytes)
{
	struct pair root = {NULL, NULL}, issuer = {NULL, NULL};
	struct fault *f = make_root(type, name, now_ms, &root);
	if (!f)
		f = make_issuer(type, &root, now_ms, &issuer);
	return finish(f, &root, &issuer, ret, ret_bytes);
}

struct fault *hierarchy_load(const struct secret *bytes, struct hierarchy **ret)
{
	struct pair root = {NULL, NULL}, issuer = {NULL, NULL};
	return finish(decode(bytes, &root, &issuer), &root, &issuer, ret, NULL);
}

struct fault *hierarchy_renew(enum key_type type, const struct secret *bytes, int64_t now_ms, struct hierarchy **ret,
	struct secret **ret_bytes)
{
	struct pair root = {NULL, NULL}, former = {NULL, NULL}, issuer = {NULL, NULL};
	struct fault *f = decode(bytes, &root, &former);
	pair_done(&former);
	if (!f)
		f = make_issuer(type, &root, now_ms, &issuer);
	return finish(f, &root, &issuer, ret, ret_bytes);
}

struct hierarchy *hierarchy_ref(struct hierarchy *h)
{
	ref_up(&h->ref);
	return h;
}

void hierarchy_unref(struct hierarchy *h)
{
	if (!h || !ref_down(&h->ref))
		return;
	X509_free(h->issuer);
	EVP_PKEY_free(h->issuer_key);
	sk_X509_pop_free(h->above, X509_free);
	anchors_unref(h->anchors);
	cert_info_free(&h->issuer_info);
	free(h);
}

void hierarchy_unrefp(struct hierarchy **h)
{
	hierarchy_unref(*h);
	*h = NULL;
}

int64_t hierarchy_renew_at_ms(const struct hierarchy *h)
{
	const struct cert_info *i = &h->issuer_info;
	/* One that ends with its root gains nothing by a new one, which would end there too. */
	bool ends_with_root = i->not_after_ms >= anchors_info(h->anchors, 0)->not_after_ms;
	return h->given || ends_with_root ? INT64_MAX : i->not_before_ms + (i->not_after_ms - i->not_before_ms) / 2;
}

bool hierarchy_is_slow(const struct hierarchy *h)
{
	return EVP_PKEY_get_base_id(h->issuer_key) == EVP_PKEY_RSA;
}

bool hierarchy_has_issued(X509 *issuer, X509 *of)
{
	EVP_PKEY *key = X509_get0_pubkey(issuer);
	bool yes = X509_check_issued(issuer, of) == X509_V_OK && key && X509_verify(of, key) == 1;
	ERR_clear_error();
	return yes;
}
