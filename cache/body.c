#include "cache/body.h"
#include <stdint.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/secret.h"

enum { SECRET_TLS_CERTIFICATE_FIELD = 2, SECRET_VALIDATION_CONTEXT_FIELD = 4 };
enum {
	TLS_CERTIFICATE_CHAIN_FIELD = 1,
	TLS_PRIVATE_KEY_FIELD = 2,
	VALIDATION_TRUSTED_CA_FIELD = 1,
	DATA_SOURCE_INLINE_BYTES_FIELD = 2
};

static size_t varint_len(uint64_t v)
{
	size_t n = 1;
	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}

static void put_varint(struct buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_add(b, &(unsigned char){(unsigned char)(v | 0x80)}, 1);
	buf_add(b, &(unsigned char){(unsigned char)v}, 1);
}

/* Tag and length of a length-delimited field with a number below 16. */
static void put_head(struct buf *b, unsigned field, size_t len)
{
	put_varint(b, field << 3 | 2);
	put_varint(b, len);
}

static size_t field_len(size_t len)
{
	return 1 + varint_len(len) + len;
}

static void put_data_source(struct buf *b, unsigned field, const void *bytes, size_t len)
{
	put_head(b, field, field_len(len));
	put_head(b, DATA_SOURCE_INLINE_BYTES_FIELD, len);
	buf_add(b, bytes, len);
}

struct fault *body_encode_certificate(const struct credential *c, struct secret **ret)
{
	AUTO(secret_freep) struct secret *key = NULL;
	struct buf chain = BUF_INIT, body = BUF_SECRET_INIT;
	size_t key_len;
	TRY(credential_key_pem(c, &key));
	const unsigned char *key_bytes = secret_bytes(key, &key_len);
	credential_chain_pem(c, &chain);
	put_head(&body, SECRET_TLS_CERTIFICATE_FIELD, field_len(field_len(chain.len)) + field_len(field_len(key_len)));
	put_data_source(&body, TLS_CERTIFICATE_CHAIN_FIELD, chain.data, chain.len);
	put_data_source(&body, TLS_PRIVATE_KEY_FIELD, key_bytes, key_len);
	struct fault *f = secret_new(body.data, body.len, ret);
	buf_free(&chain);
	buf_free(&body);
	return f;
}

struct fault *body_encode_bundle(const struct anchors *a, struct secret **ret)
{
	struct buf pem = BUF_INIT, body = BUF_INIT;
	anchors_pem(a, &pem);
	put_head(&body, SECRET_VALIDATION_CONTEXT_FIELD, field_len(field_len(pem.len)));
	put_data_source(&body, VALIDATION_TRUSTED_CA_FIELD, pem.data, pem.len);
	struct fault *f = secret_new(body.data, body.len, ret);
	buf_free(&pem);
	buf_free(&body);
	return f;
}
