#include "base/cert_info.h"
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <string.h>
#include "base/fault.h"
#include "base/mem.h"
#include "base/text.h"

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

static char *describe_key_id(const ASN1_OCTET_STRING *id)
{
	size_t len = id ? (size_t)ASN1_STRING_length(id) : 0;
	char *text = mem_calloc(1, 2 * len + 1);
	if (len)
		text_hex(ASN1_STRING_get0_data(id), len, text);
	return text;
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
	i.key_id = describe_key_id(X509_get0_subject_key_id(cert));
	i.issuer_key_id = describe_key_id(X509_get0_authority_key_id(cert));
	i.key = describe_key(X509_get0_pubkey(cert));
	i.is_ca = X509_check_ca(cert) == 1;
	san_set_from_cert_known(cert, &i.sans);
	ERR_clear_error(); /* what OpenSSL thinks of odd extensions would be taken for an error of the next TLS call */
	*ret = i;
	return NULL;
}

void cert_info_copy(const struct cert_info *from, struct cert_info *ret)
{
	*ret = *from;
	ret->subject = mem_strdup(from->subject);
	ret->issuer = mem_strdup(from->issuer);
	ret->serial = mem_strdup(from->serial);
	ret->sha256 = mem_strdup(from->sha256);
	ret->key_id = mem_strdup(from->key_id);
	ret->issuer_key_id = mem_strdup(from->issuer_key_id);
	ret->key = mem_strdup(from->key);
	ret->sans = (struct san_set){NULL, 0};
	san_set_copy(&from->sans, &ret->sans);
}

void cert_info_free(struct cert_info *i)
{
	free(i->subject);
	free(i->issuer);
	free(i->serial);
	free(i->sha256);
	free(i->key_id);
	free(i->issuer_key_id);
	free(i->key);
	san_set_free(&i->sans);
	memset(i, 0, sizeof *i);
}
