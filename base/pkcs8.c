#include "base/pkcs8.h"
#include <limits.h>
#include <openssl/asn1t.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <string.h>
#include "base/fault.h"

/* scrypt's work is N * r * p; the usual N = 2^14, r = 8, p = 1 is 2^17. OpenSSL bounds its memory to 32 MiB. */
#define SCRYPT_WORK_MAX (UINT64_C(1) << 22)

static struct fault *too_much(void)
{
	return fault_new(
		FAULT_INVALID, "its encryption asks for too much work (more than %ld rounds in all)", PKCS8_ROUNDS_MAX);
}

static struct fault *no_sense(void)
{
	return fault_openssl(FAULT_INVALID, "the parameters of its encryption make no sense");
}

static struct fault *spend_rounds(const ASN1_INTEGER *count, long *rounds_left)
{
	int64_t rounds;
	if (ASN1_INTEGER_get_int64(&rounds, count) != 1 || rounds < 1)
		return no_sense();
	if (rounds > *rounds_left)
		return too_much();
	*rounds_left -= (long)rounds;
	return NULL;
}

static struct fault *check_scrypt(const X509_ALGOR *kdf)
{
	SCRYPT_PARAMS *p = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(SCRYPT_PARAMS), kdf->parameter);
	uint64_t n = 0, r = 0, parallel = 0;
	bool sane = p && ASN1_INTEGER_get_uint64(&n, p->costParameter) == 1 &&
		    ASN1_INTEGER_get_uint64(&r, p->blockSize) == 1 &&
		    ASN1_INTEGER_get_uint64(&parallel, p->parallelizationParameter) == 1 && n && r && parallel;
	SCRYPT_PARAMS_free(p);
	if (!sane)
		return no_sense();
	/* Each factor first, so that the product cannot overflow. */
	if (n > SCRYPT_WORK_MAX || r > SCRYPT_WORK_MAX || parallel > SCRYPT_WORK_MAX / r ||
		n > SCRYPT_WORK_MAX / (r * parallel))
		return too_much();
	return NULL;
}

static struct fault *spend_pbes2(const X509_ALGOR *encryption, long *rounds_left)
{
	PBE2PARAM *pbes2 = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBE2PARAM), encryption->parameter);
	if (!pbes2)
		return no_sense();
	struct fault *f = NULL;
	int nid = OBJ_obj2nid(pbes2->keyfunc->algorithm);
	if (nid == NID_id_scrypt) {
		f = check_scrypt(pbes2->keyfunc);
	} else if (nid == NID_id_pbkdf2) {
		PBKDF2PARAM *p = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBKDF2PARAM), pbes2->keyfunc->parameter);
		f = p ? spend_rounds(p->iter, rounds_left) : no_sense();
		PBKDF2PARAM_free(p);
	}
	PBE2PARAM_free(pbes2);
	return f;
}

static bool is_pbes1(int nid)
{
	return EVP_PBE_find(EVP_PBE_TYPE_OUTER, nid, NULL, NULL, NULL) == 1;
}

struct fault *pkcs8_spend(const X509_ALGOR *encryption, long *rounds_left)
{
	int nid = OBJ_obj2nid(encryption->algorithm);
	if (nid == NID_pbes2)
		return spend_pbes2(encryption, rounds_left);
	if (!is_pbes1(nid)) {
		ERR_clear_error();
		return NULL;
	}
	PBEPARAM *p = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBEPARAM), encryption->parameter);
	struct fault *f = p ? spend_rounds(p->iter, rounds_left) : no_sense();
	PBEPARAM_free(p);
	return f;
}

/* Ciphers such as RC2 and single DES live in OpenSSL's legacy provider, which nobody loads here. */
static bool is_unsupported(void)
{
	bool found = false;
	unsigned long e;
	while ((e = ERR_get_error()))
		found = found || ERR_GET_REASON(e) == ERR_R_UNSUPPORTED ||
			ERR_GET_REASON(e) == EVP_R_UNKNOWN_PBE_ALGORITHM;
	return found;
}

static struct fault *from_info(const PKCS8_PRIV_KEY_INFO *info, EVP_PKEY **ret)
{
	EVP_PKEY *key = EVP_PKCS82PKEY(info);
	if (!key)
		return fault_openssl(FAULT_INVALID, "a private key of a kind that is not supported");
	*ret = key;
	return NULL;
}

struct fault *pkcs8_open(const X509_SIG *sealed, const char *password, long *rounds_left, EVP_PKEY **ret)
{
	const X509_ALGOR *encryption;
	X509_SIG_get0(sealed, &encryption, NULL);
	if (!password)
		return fault_new(FAULT_INVALID, "the private key is encrypted, and no password was given");
	TRY(pkcs8_spend(encryption, rounds_left));
	ERR_clear_error();
	PKCS8_PRIV_KEY_INFO *info = PKCS8_decrypt(sealed, password, (int)strlen(password));
	if (!info)
		return is_unsupported() ? fault_new(FAULT_INVALID,
						  "the private key's encryption is too old; convert it: openssl pkcs8 "
						  "-topk8 -v2 aes256")
					: fault_new(FAULT_INVALID, "the password does not open the private key");
	struct fault *f = from_info(info, ret);
	PKCS8_PRIV_KEY_INFO_free(info);
	return f;
}

struct fault *pkcs8_read_key(const unsigned char *der, size_t len, const char *password, EVP_PKEY **ret)
{
	static const int older[] = {EVP_PKEY_EC, EVP_PKEY_RSA}; /* SEC1, PKCS#1 */
	const unsigned char *at = der;
	struct fault *f = NULL;
	if (len > INT_MAX)
		return fault_new(FAULT_INVALID, "a private key of %zu bytes", len);
	PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)len);
	if (info) {
		f = from_info(info, ret);
		PKCS8_PRIV_KEY_INFO_free(info);
		return f;
	}
	at = der;
	X509_SIG *sealed = d2i_X509_SIG(NULL, &at, (long)len);
	if (sealed) {
		long rounds = PKCS8_ROUNDS_MAX;
		f = pkcs8_open(sealed, password, &rounds, ret);
		X509_SIG_free(sealed);
		return f;
	}
	for (size_t i = 0; i < ARRAY_LEN(older); i++) {
		at = der;
		EVP_PKEY *key = d2i_PrivateKey(older[i], NULL, &at, (long)len);
		if (key) {
			ERR_clear_error();
			*ret = key;
			return NULL;
		}
	}
	ERR_clear_error();
	return fault_new(FAULT_INVALID, "no private key in it");
}

/* BoringSSL cannot load RFC 8017's keys of three and more primes. */
static struct fault *check_two_primes(const EVP_PKEY *key)
{
	BIGNUM *third = NULL;
	bool more = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA &&
		    EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_FACTOR3, &third) == 1;
	BN_clear_free(third);
	ERR_clear_error();
	return more ? fault_new(FAULT_INVALID, "an RSA key of more than two primes; Envoy cannot load it") : NULL;
}

struct fault *pkcs8_check_pair(EVP_PKEY *key)
{
	static const unsigned char text[] = "does the private key fit its public key?";
	unsigned char signature[2048];
	size_t len = sizeof signature;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	/* NULL: the key type's own digest, or none (Ed25519). */
	bool fits = ctx && (size_t)EVP_PKEY_get_size(key) <= sizeof signature &&
		    EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
		    EVP_DigestSign(ctx, signature, &len, text, sizeof text) == 1 && EVP_MD_CTX_reset(ctx) == 1 &&
		    EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
		    EVP_DigestVerify(ctx, signature, len, text, sizeof text) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	if (!fits)
		return fault_new(FAULT_INVALID, "the private key does not fit its own public key");
	return check_two_primes(key);
}
