/* tests/fuzz/fuzz_pkcs12.c - PKCS#12 files, from their outside and from within. A file's MAC hides what lies behind it
 * from any change; so bytes are read as a whole file (first byte 0), as the contents that a file authenticates, sealed
 * here (1: without a MAC, 2: with one), as one list of bags (3), and as such a list encrypted here (4). Whatever is
 * taken is a key that fits itself and no more certificates than there may be. */
#include <openssl/err.h>
#include <openssl/pkcs7.h>
#include <stdlib.h>
#include "base/attr.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/pkcs12.h"
#include "base/pkcs8.h"
#include "tests/fuzz/input.h"

enum { CERTS_MAX = 4 };
static const char password[] = "opensesame";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_open(const PKCS12 *p12, const char *with)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	EVP_PKEY *key = NULL;
	struct fault *f = pkcs12_open(p12, with, CERTS_MAX, certs, &key);
	invariant(!f || fault_code(f) == FAULT_INVALID);
	invariant((f == NULL) == (key != NULL) && sk_X509_num(certs) <= CERTS_MAX);
	invariant(ERR_peek_error() == 0);
	fault_free(f);
	if (key) /* of any kind that OpenSSL reads; the caller compares it with the leaf */
		fault_free(pkcs8_check_pair(key));
	EVP_PKEY_free(key);
	sk_X509_pop_free(certs, X509_free);
}

/* -- DER, from the inside outwards -- */

/* What b holds becomes the content of this tag. */
static void enclose(struct buf *b, int constructed, int tag, int class)
{
	int len = (int)b->len;
	unsigned char *der = mem_calloc(1, (size_t)ASN1_object_size(constructed, len, tag)), *at = der;
	ASN1_put_object(&at, constructed, len, tag, class);
	if (len)
		memcpy(at, b->data, b->len);
	buf_truncate(b, 0);
	buf_add(b, der, (size_t)(at - der) + (size_t)len);
	free(der);
}

static void put_before(struct buf *b, const void *der, size_t len)
{
	unsigned char *whole = mem_calloc(1, b->len + len);
	memcpy(whole, der, len);
	if (b->len)
		memcpy(whole + len, b->data, b->len);
	size_t sum = b->len + len;
	buf_truncate(b, 0);
	buf_add(b, whole, sum);
	free(whole);
}

/* ContentInfo of type data (RFC 2315 7, 8). */
static void enclose_data(struct buf *b)
{
	static const unsigned char oid[] = {0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1};
	enclose(b, 0, V_ASN1_OCTET_STRING, V_ASN1_UNIVERSAL);
	enclose(b, 1, 0, V_ASN1_CONTEXT_SPECIFIC);
	put_before(b, oid, sizeof oid);
	enclose(b, 1, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
}

/* ContentInfo of type encryptedData: what is encrypted is a list of bags or not. */
static void enclose_encrypted(struct buf *b)
{
	PKCS7 *part = PKCS7_new();
	unsigned char *out = NULL, iv[16] = {0}, *der = NULL;
	int out_len = 0;
	invariant(part && PKCS7_set_type(part, NID_pkcs7_encrypted) == 1);
	X509_ALGOR *how = PKCS5_pbe2_set_iv(EVP_aes_128_cbc(), 1, iv, sizeof iv, iv, NID_hmacWithSHA256);
	invariant(how && PKCS12_pbe_crypt(how, password, -1, b->data, (int)b->len, &out, &out_len, 1));
	PKCS7_ENC_CONTENT *content = part->d.encrypted->enc_data;
	X509_ALGOR_free(content->algorithm);
	content->algorithm = how;
	content->enc_data = ASN1_OCTET_STRING_new();
	invariant(content->enc_data);
	ASN1_STRING_set0(content->enc_data, out, out_len);
	int der_len = i2d_PKCS7(part, &der);
	invariant(der_len > 0);
	buf_truncate(b, 0);
	buf_add(b, der, (size_t)der_len);
	OPENSSL_free(der);
	PKCS7_free(part);
}

/* PFX (RFC 7292 4) around what it authenticates. */
static PKCS12 *file_around(struct buf *b, bool mac)
{
	static const unsigned char version[] = {V_ASN1_INTEGER, 1, 3};
	enclose_data(b);
	put_before(b, version, sizeof version);
	enclose(b, 1, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
	PKCS12 *p12 = pkcs12_decode(b->data, b->len);
	invariant(p12 && (!mac || PKCS12_set_mac(p12, password, -1, NULL, 0, 1, EVP_sha256()) == 1));
	return p12;
}

/* One part, whatever it is: the list of parts around it. */
static PKCS12 *part_around(struct buf *b)
{
	enclose(b, 1, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
	return file_around(b, false);
}

static PKCS12 *make(unsigned kind, struct buf *b)
{
	switch (kind) {
	case 0:
		return pkcs12_decode(b->data, b->len);
	case 1:
		return file_around(b, false);
	case 2:
		return file_around(b, true);
	case 3:
		enclose_data(b);
		return part_around(b);
	default:
		enclose_encrypted(b);
		return part_around(b);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf b = BUF_INIT;
	struct input in = {data, len};
	unsigned kind = input_byte(&in) % 5;
	buf_add(&b, in.at, in.left);
	PKCS12 *p12 = make(kind, &b);
	if (p12) {
		check_open(p12, password);
		check_open(p12, NULL);
	}
	PKCS12_free(p12);
	buf_free(&b);
	return 0;
}
