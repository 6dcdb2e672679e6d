#include "base/credential.h"
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/ref.h"
#include "base/secret.h"
#include "base/text.h"

/* Most certificates in one chain. */
enum { CHAIN_MAX = 16 };

struct credential {
	struct ref ref;
	STACK_OF(X509) * chain;
	EVP_PKEY *key;
	struct cert_info info;
};

/* --- key types --- */

static const struct {
	enum key_type type;
	const char *name;
} key_types[] = {{KEY_ECDSA_P256, "ecdsa-p256"}, {KEY_ECDSA_P384, "ecdsa-p384"}, {KEY_RSA_2048, "rsa-2048"},
	{KEY_RSA_3072, "rsa-3072"}, {KEY_RSA_4096, "rsa-4096"}};

const char *key_type_name(enum key_type t)
{
	for (size_t i = 0; i < ARRAY_LEN(key_types); i++)
		if (key_types[i].type == t)
			return key_types[i].name;
	return NULL;
}

bool key_type_parse(const char *text, enum key_type *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(key_types); i++)
		if (strcmp(key_types[i].name, text) == 0) {
			*ret = key_types[i].type;
			return true;
		}
	return false;
}

bool key_type_is_slow(enum key_type t)
{
	return t == KEY_RSA_2048 || t == KEY_RSA_3072 || t == KEY_RSA_4096;
}

/* --- one certificate --- */

static char *describe_key(EVP_PKEY *key)
{
	char group[64] = "";
	if (!key)
		return mem_strdup("unknown");
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		return mem_printf("rsa-%d", EVP_PKEY_get_bits(key));
	case EVP_PKEY_RSA_PSS:
		return mem_printf("rsa-pss-%d", EVP_PKEY_get_bits(key));
	case EVP_PKEY_EC:
		if (EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1)
			return mem_strdup("ecdsa");
		if (strcmp(group, "prime256v1") == 0)
			return mem_strdup("ecdsa-p256");
		if (strcmp(group, "secp384r1") == 0)
			return mem_strdup("ecdsa-p384");
		if (strcmp(group, "secp521r1") == 0)
			return mem_strdup("ecdsa-p521");
		return mem_printf("ecdsa-%s", group);
	default: {
		const char *name = EVP_PKEY_get0_type_name(key);
		char *text = mem_strdup(name ? name : "unknown");
		for (char *p = text; *p; p++)
			if (*p >= 'A' && *p <= 'Z')
				*p = (char)(*p - 'A' + 'a');
		return text;
	}
	}
}

static char *describe_name(const X509_NAME *name)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *bytes;
	invariant(b);
	(void)X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253);
	long len = BIO_get_mem_data(b, &bytes);
	char *text = mem_strndup(bytes, len > 0 ? (size_t)len : 0);
	BIO_free(b);
	return text;
}

static bool read_time(const ASN1_TIME *t, int64_t *ret_ms)
{
	struct tm tm;
	int days, seconds;
	ASN1_TIME *zero = ASN1_TIME_set(NULL, 0);
	bool ok = zero && ASN1_TIME_to_tm(t, &tm) == 1 && ASN1_TIME_diff(&days, &seconds, zero, t) == 1;
	ASN1_TIME_free(zero);
	if (ok)
		*ret_ms = ((int64_t)days * 86400 + seconds) * 1000;
	return ok;
}

static char *describe_serial(X509 *cert)
{
	BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
	char *hex = n ? BN_bn2hex(n) : NULL;
	char *text = mem_strdup(hex ? hex : "");
	for (char *p = text; *p; p++)
		if (*p >= 'A' && *p <= 'F')
			*p = (char)(*p - 'A' + 'a');
	OPENSSL_free(hex);
	BN_free(n);
	return text;
}

/* SANs of types that we know; others are left out. */
static void read_known_sans(X509 *cert, struct san_set *ret)
{
	struct fault *f = san_set_from_cert(cert, ret);
	fault_ignore(f, "a certificate with another SAN type is shown without its SANs");
}

struct fault *cert_info_read(X509 *cert, struct cert_info *ret)
{
	struct cert_info i;
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	memset(&i, 0, sizeof i);
	if (!read_time(X509_get0_notBefore(cert), &i.not_before_ms) ||
		!read_time(X509_get0_notAfter(cert), &i.not_after_ms))
		return fault_openssl(FAULT_INVALID, "a certificate with an unreadable validity");
	if (X509_digest(cert, EVP_sha256(), digest, &len) != 1)
		return fault_openssl(FAULT_INTERNAL, "digest of a certificate");
	i.sha256 = mem_calloc(1, 2 * (size_t)len + 1);
	text_hex(digest, len, i.sha256);
	i.subject = describe_name(X509_get_subject_name(cert));
	i.issuer = describe_name(X509_get_issuer_name(cert));
	i.serial = describe_serial(cert);
	i.key = describe_key(X509_get0_pubkey(cert));
	i.is_ca = X509_check_ca(cert) == 1;
	read_known_sans(cert, &i.sans);
	*ret = i;
	return NULL;
}

void cert_info_free(struct cert_info *i)
{
	free(i->subject);
	free(i->issuer);
	free(i->serial);
	free(i->sha256);
	free(i->key);
	san_set_free(&i->sans);
	memset(i, 0, sizeof *i);
}

/* --- chains --- */

static bool is_self_signed(X509 *cert)
{
	return X509_self_signed(cert, 0) == 1;
}

static X509 *find_leaf(STACK_OF(X509) * certs, EVP_PKEY *key)
{
	for (int i = 0; i < sk_X509_num(certs); i++) {
		X509 *c = sk_X509_value(certs, i);
		EVP_PKEY *pub = X509_get0_pubkey(c);
		if (pub && EVP_PKEY_eq(pub, key) == 1)
			return c;
	}
	ERR_clear_error();
	return NULL;
}

/* Names and key identifiers only claim it: two CAs may bear one name, and then the signature decides. */
static bool has_issued(X509 *issuer, X509 *of)
{
	EVP_PKEY *key = X509_get0_pubkey(issuer);
	bool yes = key && X509_check_issued(issuer, of) == X509_V_OK && X509_verify(of, key) == 1;
	ERR_clear_error();
	return yes;
}

static X509 *find_issuer(STACK_OF(X509) * certs, STACK_OF(X509) * taken, X509 *of)
{
	for (int i = 0; i < sk_X509_num(certs); i++) {
		X509 *c = sk_X509_value(certs, i);
		bool used = false;
		for (int k = 0; k < sk_X509_num(taken); k++)
			used = used || X509_cmp(sk_X509_value(taken, k), c) == 0;
		if (!used && has_issued(c, of))
			return c;
	}
	return NULL;
}

static void push(STACK_OF(X509) * chain, X509 *c)
{
	invariant(X509_up_ref(c) == 1 && sk_X509_push(chain, c) > 0);
}

/* Leaf first, each followed by its issuer; a root is dropped unless it is the leaf itself. Certificates that do not
 * belong are refused: they are somebody's mistake, and other stacks would refuse them later. Duplicates are dropped. */
static struct fault *order_chain(STACK_OF(X509) * certs, EVP_PKEY *key, STACK_OF(X509) * ret)
{
	X509 *leaf = find_leaf(certs, key);
	if (!leaf)
		return fault_new(
			FAULT_INVALID, "the private key belongs to none of the %d certificates", sk_X509_num(certs));
	push(ret, leaf);
	X509 *last = leaf, *root = NULL;
	while (!is_self_signed(last)) {
		X509 *next = find_issuer(certs, ret, last);
		if (!next)
			break;
		if (is_self_signed(next)) {
			root = next;
			break;
		}
		push(ret, next);
		last = next;
	}
	for (int i = 0; i < sk_X509_num(certs); i++) {
		X509 *c = sk_X509_value(certs, i);
		bool used = root && X509_cmp(c, root) == 0;
		for (int k = 0; k < sk_X509_num(ret); k++)
			used = used || X509_cmp(c, sk_X509_value(ret, k)) == 0;
		if (used)
			continue;
		AUTO(mem_freep) char *subject = describe_name(X509_get_subject_name(c));
		return fault_new(
			FAULT_INVALID, "certificate \"%.200s\" does not belong to the chain of the leaf", subject);
	}
	return NULL;
}

struct fault *credential_new(STACK_OF(X509) * chain, EVP_PKEY *key, struct credential **ret)
{
	if (!chain || sk_X509_num(chain) == 0)
		return fault_new(FAULT_INVALID, "there is no certificate");
	if (sk_X509_num(chain) > CHAIN_MAX)
		return fault_new(
			FAULT_INVALID, "a chain of %d certificates; at most %d", sk_X509_num(chain), CHAIN_MAX);
	if (!key)
		return fault_new(FAULT_INVALID, "there is no private key");
	struct credential *c = mem_new(struct credential);
	ref_init(&c->ref);
	c->chain = sk_X509_new_null();
	invariant(c->chain && EVP_PKEY_up_ref(key) == 1);
	c->key = key;
	struct fault *f = order_chain(chain, key, c->chain);
	if (!f)
		f = cert_info_read(sk_X509_value(c->chain, 0), &c->info);
	if (f)
		credential_unref(c);
	else
		*ret = c;
	return f;
}

struct credential *credential_ref(struct credential *c)
{
	ref_up(&c->ref);
	return c;
}

void credential_unref(struct credential *c)
{
	if (!c || !ref_down(&c->ref))
		return;
	sk_X509_pop_free(c->chain, X509_free);
	EVP_PKEY_free(c->key);
	cert_info_free(&c->info);
	free(c);
}

void credential_unrefp(struct credential **c)
{
	credential_unref(*c);
	*c = NULL;
}

const struct cert_info *credential_info(const struct credential *c)
{
	return &c->info;
}

X509 *credential_leaf(const struct credential *c)
{
	return sk_X509_value(c->chain, 0);
}

STACK_OF(X509) * credential_chain(const struct credential *c)
{
	return c->chain;
}

EVP_PKEY *credential_key(const struct credential *c)
{
	return c->key;
}

static void add_pem(X509 *cert, struct buf *ret)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *bytes;
	invariant(b && PEM_write_bio_X509(b, cert) == 1);
	long len = BIO_get_mem_data(b, &bytes);
	buf_add(ret, bytes, (size_t)len);
	BIO_free(b);
}

void credential_chain_pem(const struct credential *c, struct buf *ret)
{
	for (int i = 0; i < sk_X509_num(c->chain); i++)
		add_pem(sk_X509_value(c->chain, i), ret);
}

struct fault *credential_key_pem(const struct credential *c, struct secret **ret)
{
	BIO *b = BIO_new(BIO_s_secmem());
	char *bytes;
	struct fault *f = NULL;
	if (!b || PEM_write_bio_PKCS8PrivateKey(b, c->key, NULL, NULL, 0, NULL, NULL) != 1)
		f = fault_openssl(FAULT_INTERNAL, "private key as PEM");
	long len = f ? 0 : BIO_get_mem_data(b, &bytes);
	if (!f)
		f = secret_new(bytes, (size_t)len, ret);
	BIO_free(b);
	return f;
}

static struct fault *read_chain(const void *pem, size_t len, STACK_OF(X509) * ret)
{
	BIO *b = BIO_new_mem_buf(pem, (int)len);
	X509 *c;
	invariant(b);
	while ((c = PEM_read_bio_X509(b, NULL, NULL, NULL)))
		invariant(sk_X509_push(ret, c) > 0);
	BIO_free(b);
	unsigned long e = ERR_peek_last_error();
	bool at_end = ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
	if (!at_end)
		return fault_openssl(FAULT_CORRUPT, "certificate chain");
	ERR_clear_error();
	return NULL;
}

struct fault *credential_from_pem(
	const void *chain, size_t chain_len, const struct secret *key, struct credential **ret)
{
	size_t len;
	const unsigned char *bytes = secret_bytes(key, &len);
	if (chain_len > INT32_MAX)
		return fault_new(FAULT_CORRUPT, "a chain of %zu bytes", chain_len);
	STACK_OF(X509) *certs = sk_X509_new_null();
	invariant(certs);
	BIO *b = BIO_new_mem_buf(bytes, (int)len);
	EVP_PKEY *pkey = b ? PEM_read_bio_PrivateKey(b, NULL, NULL, NULL) : NULL;
	struct fault *f = pkey ? read_chain(chain, chain_len, certs) : fault_openssl(FAULT_CORRUPT, "private key");
	if (!f)
		f = credential_new(certs, pkey, ret);
	BIO_free(b);
	EVP_PKEY_free(pkey);
	sk_X509_pop_free(certs, X509_free);
	return f;
}
