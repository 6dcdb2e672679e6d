#include "cache/body.h"
#include "base/anchors.h"
#include "base/buf.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/secret.h"
#include "proto/wire.h"

enum { SECRET_TLS_CERTIFICATE_FIELD = 2, SECRET_VALIDATION_CONTEXT_FIELD = 4 };
enum {
	TLS_CERTIFICATE_CHAIN_FIELD = 1,
	TLS_PRIVATE_KEY_FIELD = 2,
	VALIDATION_TRUSTED_CA_FIELD = 1,
	DATA_SOURCE_INLINE_BYTES_FIELD = 2
};

/* Of a DataSource field that holds len bytes inline. */
static size_t data_source_len(unsigned field, size_t len)
{
	return wire_bytes_len(field, wire_bytes_len(DATA_SOURCE_INLINE_BYTES_FIELD, len));
}

static void put_data_source(struct buf *b, unsigned field, const void *bytes, size_t len)
{
	wire_put_head(b, field, wire_bytes_len(DATA_SOURCE_INLINE_BYTES_FIELD, len));
	wire_put_bytes(b, DATA_SOURCE_INLINE_BYTES_FIELD, bytes, len);
}

struct fault *body_encode_certificate(const struct credential *c, struct secret **ret)
{
	AUTO(secret_freep) struct secret *key = NULL;
	struct buf chain = BUF_INIT, body = BUF_SECRET_INIT;
	size_t key_len;
	TRY(credential_key_pem(c, &key));
	const unsigned char *key_bytes = secret_bytes(key, &key_len);
	credential_chain_pem(c, &chain);
	wire_put_head(&body, SECRET_TLS_CERTIFICATE_FIELD,
		data_source_len(TLS_CERTIFICATE_CHAIN_FIELD, chain.len) +
			data_source_len(TLS_PRIVATE_KEY_FIELD, key_len));
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
	wire_put_head(&body, SECRET_VALIDATION_CONTEXT_FIELD, data_source_len(VALIDATION_TRUSTED_CA_FIELD, pem.len));
	put_data_source(&body, VALIDATION_TRUSTED_CA_FIELD, pem.data, pem.len);
	struct fault *f = secret_new(body.data, body.len, ret);
	buf_free(&pem);
	buf_free(&body);
	return f;
}
