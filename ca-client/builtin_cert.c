#include "ca-client/builtin_cert.h"
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include "base/fault.h"
#include "base/mem.h"

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

struct fault *builtin_cert_begin(X509 *cert, X509 *issuer, EVP_PKEY *key)
{
	TRY(set_serial(cert));
	if (X509_set_version(cert, X509_VERSION_3) != 1 || X509_set_pubkey(cert, key) != 1 ||
		X509_set_issuer_name(cert, X509_get_subject_name(issuer)) != 1)
		return fault_openssl(FAULT_INTERNAL, "certificate");
	return NULL;
}

struct fault *builtin_cert_set_validity(X509 *cert, int64_t from_ms, int64_t to_ms)
{
	bool ok = ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)(from_ms / 1000)) &&
		  ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)(to_ms / 1000));
	return ok ? NULL : fault_openssl(FAULT_INTERNAL, "validity");
}

struct fault *builtin_cert_add(X509 *cert, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, NULL, cert, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool ok = e && X509_add_ext(cert, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok ? NULL : fault_openssl(FAULT_INTERNAL, "extension %s", OBJ_nid2sn(nid));
}

/* RFC 5280 4.2.1.1: the issuer's subject key identifier; an old CA that has none is named by the usual hash of its key.
 */
static ASN1_OCTET_STRING *key_id_of(X509 *issuer)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len;
	const ASN1_OCTET_STRING *own = X509_get0_subject_key_id(issuer);
	if (own)
		return ASN1_OCTET_STRING_dup(own);
	ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
	invariant(id && X509_pubkey_digest(issuer, EVP_sha1(), digest, &len) == 1);
	invariant(ASN1_OCTET_STRING_set(id, digest, (int)len) == 1);
	return id;
}

struct fault *builtin_cert_add_key_ids(X509 *cert, X509 *issuer)
{
	TRY(builtin_cert_add(cert, NID_subject_key_identifier, "hash"));
	if (issuer == cert)
		return NULL;
	AUTHORITY_KEYID *id = AUTHORITY_KEYID_new();
	invariant(id);
	id->keyid = key_id_of(issuer);
	bool ok = X509_add1_ext_i2d(cert, NID_authority_key_identifier, id, 0, X509V3_ADD_DEFAULT) == 1;
	AUTHORITY_KEYID_free(id);
	return ok ? NULL : fault_openssl(FAULT_INTERNAL, "authority key identifier");
}

static const EVP_MD *digest_for(EVP_PKEY *key)
{
	int bits = EVP_PKEY_get_bits(key);
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_ED25519:
	case EVP_PKEY_ED448:
		return NULL; /* part of the algorithm */
	case EVP_PKEY_EC:
		return bits > 384 ? EVP_sha512() : bits > 256 ? EVP_sha384() : EVP_sha256();
	default:
		return EVP_sha256();
	}
}

struct fault *builtin_cert_sign(X509 *cert, EVP_PKEY *issuer_key)
{
	return X509_sign(cert, issuer_key, digest_for(issuer_key)) > 0
		       ? NULL
		       : fault_openssl(FAULT_INTERNAL, "signing a certificate");
}
