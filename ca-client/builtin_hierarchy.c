#include "ca-client/builtin_hierarchy.h"
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/file.h"
#include "base/mem.h"
#include "base/ref.h"
#include "ca-client/keygen.h"

#define ROOT_LIFE_MS (INT64_C(3652) * MS_PER_DAY)
#define ISSUER_LIFE_MS (INT64_C(365) * MS_PER_DAY)
#define CA_BACKDATE_MS (INT64_C(5) * MS_PER_MIN)
#define LEAF_BACKDATE_MAX_MS (INT64_C(30) * MS_PER_S)
#define FILE_MAX ((size_t)256 * 1024)

struct hierarchy {
	struct ref ref;
	bool given;
	X509 *root;	    /* NULL when given */
	EVP_PKEY *root_key; /* NULL when given */
	X509 *issuer;	    /* signs leaves */
	EVP_PKEY *issuer_key;
	STACK_OF(X509) * above; /* given: what stands between issuer and root */
	struct anchors *anchors;
	struct cert_info issuer_info;
};

/* --- building certificates --- */

static struct fault *set_serial(X509 *cert)
{
	unsigned char bytes[16];
	if (RAND_bytes(bytes, sizeof bytes) != 1)
		return fault_openssl(FAULT_INTERNAL, "random serial");
	bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive, and always 16 bytes long */
	BIGNUM *n = BN_bin2bn(bytes, sizeof bytes, NULL);
	bool ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
	BN_free(n);
	return ok ? NULL : fault_openssl(FAULT_INTERNAL, "serial");
}

static struct fault *set_validity(X509 *cert, int64_t from_ms, int64_t to_ms)
{
	bool ok = ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)(from_ms / 1000)) &&
		  ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)(to_ms / 1000));
	return ok ? NULL : fault_openssl(FAULT_INTERNAL, "validity");
}

static struct fault *add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool ok = e && X509_add_ext(cert, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok ? NULL : fault_openssl(FAULT_INTERNAL, "extension %s", OBJ_nid2sn(nid));
}

static struct fault *sign_cert(X509 *cert, EVP_PKEY *key)
{
	return X509_sign(cert, key, EVP_sha256()) > 0 ? NULL : fault_openssl(FAULT_INTERNAL, "signing a certificate");
}

static struct fault *fill_ca(X509 *cert, X509 *issuer, EVP_PKEY *key, const char *name, const char *constraints)
{
	X509_NAME *subject = X509_get_subject_name(cert);
	TRY(set_serial(cert));
	if (X509_set_version(cert, X509_VERSION_3) != 1 || X509_set_pubkey(cert, key) != 1 ||
		X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) != 1 ||
		X509_set_issuer_name(cert, X509_get_subject_name(issuer)) != 1)
		return fault_openssl(FAULT_INTERNAL, "CA certificate");
	TRY(add_extension(cert, issuer, NID_basic_constraints, constraints));
	TRY(add_extension(cert, issuer, NID_key_usage, "critical,keyCertSign,cRLSign"));
	TRY(add_extension(cert, issuer, NID_subject_key_identifier, "hash"));
	return issuer == cert ? NULL : add_extension(cert, issuer, NID_authority_key_identifier, "keyid:always");
}

static struct fault *make_root(struct hierarchy *h, enum key_type type, const char *name, int64_t now)
{
	TRY(keygen_key(type, &h->root_key));
	h->root = X509_new();
	invariant(h->root);
	TRY(fill_ca(h->root, h->root, h->root_key, name, "critical,CA:TRUE,pathlen:1"));
	TRY(set_validity(h->root, now - CA_BACKDATE_MS, now + ROOT_LIFE_MS));
	return sign_cert(h->root, h->root_key);
}

static struct fault *make_issuer(struct hierarchy *h, enum key_type type, const char *name, int64_t now)
{
	struct cert_info root;
	TRY(cert_info_read(h->root, &root));
	int64_t to = now + ISSUER_LIFE_MS < root.not_after_ms ? now + ISSUER_LIFE_MS : root.not_after_ms;
	cert_info_free(&root);
	TRY(keygen_key(type, &h->issuer_key));
	h->issuer = X509_new();
	invariant(h->issuer);
	TRY(fill_ca(h->issuer, h->root, h->issuer_key, name, "critical,CA:TRUE,pathlen:0"));
	TRY(set_validity(h->issuer, now - CA_BACKDATE_MS, to));
	return sign_cert(h->issuer, h->root_key);
}

/* --- the whole --- */

static struct hierarchy *empty(void)
{
	struct hierarchy *h = mem_new(struct hierarchy);
	ref_init(&h->ref);
	return h;
}

static struct fault *find_anchors(struct hierarchy *h)
{
	STACK_OF(X509) *roots = sk_X509_new_null();
	X509 *top = h->root				? h->root
		    : h->above && sk_X509_num(h->above) ? sk_X509_value(h->above, sk_X509_num(h->above) - 1)
							: h->issuer;
	invariant(roots && sk_X509_push(roots, top) > 0);
	struct fault *f = anchors_new(roots, &h->anchors);
	sk_X509_free(roots);
	return f ? f : cert_info_read(h->issuer, &h->issuer_info);
}

static struct fault *finish(struct hierarchy *h, struct fault *f, struct hierarchy **ret)
{
	if (!f)
		f = find_anchors(h);
	if (f)
		hierarchy_unref(h);
	else
		*ret = h;
	return f;
}

struct fault *hierarchy_make(const struct builtin_options *o, const char *authority,
	const struct hierarchy *renewed_from, int64_t now_ms, struct hierarchy **ret)
{
	struct hierarchy *h = empty();
	struct fault *f = NULL;
	AUTO(mem_freep) char *name = o->common_name ? mem_strdup(o->common_name) : mem_printf("leafcast %s", authority);
	AUTO(mem_freep) char *issuer_name = mem_printf("%s issuing", name);
	if (renewed_from) {
		invariant(X509_up_ref(renewed_from->root) == 1 && EVP_PKEY_up_ref(renewed_from->root_key) == 1);
		h->root = renewed_from->root;
		h->root_key = renewed_from->root_key;
	} else {
		f = make_root(h, o->ca_key, name, now_ms);
	}
	if (!f)
		f = make_issuer(h, o->ca_key, issuer_name, now_ms);
	return finish(h, f, ret);
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
	X509_free(h->root);
	EVP_PKEY_free(h->root_key);
	X509_free(h->issuer);
	EVP_PKEY_free(h->issuer_key);
	sk_X509_pop_free(h->above, X509_free);
	anchors_unref(h->anchors);
	cert_info_free(&h->issuer_info);
	free(h);
}

struct anchors *hierarchy_anchors(const struct hierarchy *h)
{
	return h->anchors;
}

int64_t hierarchy_not_after_ms(const struct hierarchy *h)
{
	return h->issuer_info.not_after_ms;
}

int64_t hierarchy_renew_at_ms(const struct hierarchy *h)
{
	if (h->given)
		return INT64_MAX;
	return h->issuer_info.not_before_ms + (h->issuer_info.not_after_ms - h->issuer_info.not_before_ms) / 2;
}

bool hierarchy_is_slow(const struct hierarchy *h)
{
	return EVP_PKEY_get_base_id(h->issuer_key) == EVP_PKEY_RSA;
}

/* --- as bytes: root, root key, issuing CA, its key, one PEM after the other --- */

struct fault *hierarchy_encode(const struct hierarchy *h, struct secret **ret)
{
	BIO *b = BIO_new(BIO_s_secmem());
	char *bytes;
	bool ok = b && PEM_write_bio_X509(b, h->root) == 1 &&
		  PEM_write_bio_PKCS8PrivateKey(b, h->root_key, NULL, NULL, 0, NULL, NULL) == 1 &&
		  PEM_write_bio_X509(b, h->issuer) == 1 &&
		  PEM_write_bio_PKCS8PrivateKey(b, h->issuer_key, NULL, NULL, 0, NULL, NULL) == 1;
	struct fault *f = ok ? NULL : fault_openssl(FAULT_INTERNAL, "encoding the CA");
	long len = f ? 0 : BIO_get_mem_data(b, &bytes);
	if (!f)
		f = secret_new(bytes, (size_t)len, ret);
	BIO_free(b);
	return f;
}

struct fault *hierarchy_decode(const struct secret *bytes, struct hierarchy **ret)
{
	size_t len;
	const unsigned char *p = secret_bytes(bytes, &len);
	struct hierarchy *h = empty();
	BIO *b = BIO_new_mem_buf(p, (int)len);
	invariant(b);
	h->root = PEM_read_bio_X509(b, NULL, NULL, NULL);
	h->root_key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
	h->issuer = PEM_read_bio_X509(b, NULL, NULL, NULL);
	h->issuer_key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
	BIO_free(b);
	bool ok = h->root && h->root_key && h->issuer && h->issuer_key &&
		  X509_check_private_key(h->root, h->root_key) == 1 &&
		  X509_check_private_key(h->issuer, h->issuer_key) == 1;
	struct fault *f = ok ? NULL : fault_openssl(FAULT_CORRUPT, "the stored CA cannot be read");
	return finish(h, f, ret);
}

/* --- the operator's own --- */

static int give_password(char *buf, int size, int writing, void *arg)
{
	const struct buf *password = arg;
	(void)writing;
	size_t len = strcspn(buf_text(password), "\r\n");
	if (len > (size_t)size)
		return 0;
	memcpy(buf, buf_text(password), len);
	return (int)len;
}

static struct fault *read_ca_key(const struct builtin_options *o, EVP_PKEY **ret)
{
	struct buf pem = BUF_SECRET_INIT, password = BUF_SECRET_INIT;
	struct fault *f = file_read(o->key_file, FILE_MAX, &pem);
	if (!f && o->key_password_file)
		f = file_read(o->key_password_file, 1024, &password);
	if (!f && !o->key_password_file && strstr(buf_text(&pem), "ENCRYPTED"))
		f = fault_new(FAULT_INVALID, "%s is encrypted; name its password by key_password_file", o->key_file);
	BIO *b = f ? NULL : BIO_new_mem_buf(pem.data, (int)pem.len);
	EVP_PKEY *key = b ? PEM_read_bio_PrivateKey(b, NULL, give_password, &password) : NULL;
	if (!f && !key)
		f = fault_openssl(FAULT_INVALID, "%s holds no private key that can be read", o->key_file);
	BIO_free(b);
	buf_free(&pem);
	buf_free(&password);
	if (!f)
		*ret = key;
	return f;
}

static struct fault *read_ca_certs(const char *path, STACK_OF(X509) * certs)
{
	struct buf pem = BUF_INIT;
	X509 *c;
	TRY(file_read(path, FILE_MAX, &pem));
	BIO *b = BIO_new_mem_buf(buf_text(&pem), (int)pem.len);
	invariant(b);
	while ((c = PEM_read_bio_X509(b, NULL, NULL, NULL)))
		invariant(sk_X509_push(certs, c) > 0);
	BIO_free(b);
	buf_free(&pem);
	unsigned long e = ERR_peek_last_error();
	bool end = ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
	if (sk_X509_num(certs) == 0 || !end)
		return fault_openssl(FAULT_INVALID, "%s holds no certificate that can be read", path);
	ERR_clear_error();
	return NULL;
}

static struct fault *take_files(struct hierarchy *h, const struct builtin_options *o)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	invariant(certs);
	h->above = certs;
	TRY(read_ca_certs(o->certificate_file, certs));
	TRY(read_ca_key(o, &h->issuer_key));
	h->issuer = sk_X509_shift(certs);
	if (X509_check_private_key(h->issuer, h->issuer_key) != 1)
		return fault_openssl(FAULT_INVALID, "the key in %s is not the one of the first certificate in %s",
			o->key_file, o->certificate_file);
	if (X509_check_ca(h->issuer) != 1 || !(X509_get_key_usage(h->issuer) & KU_KEY_CERT_SIGN))
		return fault_new(FAULT_INVALID,
			"the first certificate in %s may not sign others (CA:TRUE with keyCertSign is needed)",
			o->certificate_file);
	X509 *below = h->issuer;
	for (int i = 0; i < sk_X509_num(certs); below = sk_X509_value(certs, i++))
		if (X509_check_issued(sk_X509_value(certs, i), below) != X509_V_OK)
			return fault_new(FAULT_INVALID, "certificate %d in %s did not issue the one before it", i + 2,
				o->certificate_file);
	ERR_clear_error();
	return NULL;
}

struct fault *hierarchy_from_files(const struct builtin_options *o, struct hierarchy **ret)
{
	struct hierarchy *h = empty();
	h->given = true;
	return finish(h, take_files(h, o), ret);
}

/* --- leaves --- */

void hierarchy_leaf_init(struct hierarchy_leaf *l, const struct ca_request *r, int64_t now_ms)
{
	l->csr = X509_REQ_dup(r->csr);
	invariant(l->csr);
	san_set_copy(r->sans, &l->sans);
	l->lifetime_ms = r->lifetime_ms;
	l->now_ms = now_ms;
}

void hierarchy_leaf_done(struct hierarchy_leaf *l)
{
	X509_REQ_free(l->csr);
	san_set_free(&l->sans);
}

static struct fault *fill_leaf(X509 *cert, const struct hierarchy *h, const struct hierarchy_leaf *l, EVP_PKEY *key)
{
	int64_t backdate = l->lifetime_ms / 10 < LEAF_BACKDATE_MAX_MS ? l->lifetime_ms / 10 : LEAF_BACKDATE_MAX_MS;
	int64_t from = l->now_ms - backdate, to = l->now_ms + l->lifetime_ms;
	if (from < h->issuer_info.not_before_ms)
		from = h->issuer_info.not_before_ms;
	if (to > h->issuer_info.not_after_ms)
		to = h->issuer_info.not_after_ms;
	if (to <= l->now_ms)
		return fault_new(FAULT_UNAVAILABLE, "the issuing CA has expired");
	TRY(set_serial(cert));
	TRY(set_validity(cert, from, to));
	if (X509_set_version(cert, X509_VERSION_3) != 1 || X509_set_pubkey(cert, key) != 1 ||
		X509_set_issuer_name(cert, X509_get_subject_name(h->issuer)) != 1)
		return fault_openssl(FAULT_INTERNAL, "leaf certificate");
	TRY(add_extension(cert, h->issuer, NID_basic_constraints, "critical,CA:FALSE"));
	bool rsa = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
	TRY(add_extension(cert, h->issuer, NID_key_usage,
		rsa ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature"));
	TRY(add_extension(cert, h->issuer, NID_ext_key_usage, "serverAuth,clientAuth"));
	TRY(add_extension(cert, h->issuer, NID_subject_key_identifier, "hash"));
	TRY(add_extension(cert, h->issuer, NID_authority_key_identifier, "keyid:always"));
	X509_EXTENSION *names = NULL;
	TRY(san_set_to_extension(&l->sans, true, &names)); /* critical: the subject is empty (RFC 5280 4.2.1.6) */
	bool added = X509_add_ext(cert, names, -1) == 1;
	X509_EXTENSION_free(names);
	return added ? NULL : fault_openssl(FAULT_INTERNAL, "names of a leaf");
}

struct fault *hierarchy_sign(const struct hierarchy *h, const struct hierarchy_leaf *l, STACK_OF(X509) * *ret)
{
	if (l->lifetime_ms < BUILTIN_LIFETIME_MIN_MS || l->lifetime_ms > BUILTIN_LIFETIME_MAX_MS)
		return fault_new(FAULT_INVALID, "a lifetime of %lld ms; 10 s to 825 days", (long long)l->lifetime_ms);
	EVP_PKEY *key = X509_REQ_get0_pubkey(l->csr);
	if (!key || X509_REQ_verify(l->csr, key) != 1)
		return fault_openssl(FAULT_INVALID, "the certificate request is not signed by its own key");
	X509 *leaf = X509_new();
	STACK_OF(X509) *chain = sk_X509_new_null();
	invariant(leaf && chain && sk_X509_push(chain, leaf) > 0);
	struct fault *f = fill_leaf(leaf, h, l, key);
	if (!f)
		f = sign_cert(leaf, h->issuer_key);
	if (!f)
		invariant(X509_up_ref(h->issuer) == 1 && sk_X509_push(chain, h->issuer) > 0);
	for (int i = 0; !f && h->above && i < sk_X509_num(h->above); i++)
		invariant(X509_up_ref(sk_X509_value(h->above, i)) == 1 &&
			  sk_X509_push(chain, sk_X509_value(h->above, i)) > 0);
	if (f)
		sk_X509_pop_free(chain, X509_free);
	else
		*ret = chain;
	return f;
}
