#include "cache/body.h"
#include <string.h>
#include "base/buf.h"
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

/* What stands before those bytes. */
static void put_data_source_head(struct buf *b, unsigned field, size_t len)
{
	wire_put_head(b, field, wire_bytes_len(DATA_SOURCE_INLINE_BYTES_FIELD, len));
	wire_put_head(b, DATA_SOURCE_INLINE_BYTES_FIELD, len);
}

/* Heads and what they announce, in turn; put together in the secret's own memory, so that no copy of a key is left. */
enum { PIECES_MAX = 4 };
struct pieces {
	struct {
		const void *bytes;
		size_t len;
	} list[PIECES_MAX];
	size_t count;
};

static size_t add_piece(struct pieces *p, size_t before, const void *bytes, size_t len)
{
	p->list[p->count].bytes = bytes;
	p->list[p->count++].len = len;
	return before + len;
}

static struct fault *put_together(void *arg, unsigned char *out, size_t len)
{
	const struct pieces *p = arg;
	(void)len;
	for (size_t i = 0; i < p->count; i++) {
		memcpy(out, p->list[i].bytes, p->list[i].len);
		out += p->list[i].len;
	}
	return NULL;
}

struct fault *body_encode_certificate(const void *chain, size_t chain_len, const struct secret *key,
	struct body_part *ret_chain, struct body_part *ret_key, struct secret **ret)
{
	struct buf head = BUF_INIT, key_head = BUF_INIT;
	struct pieces p = {.count = 0};
	size_t key_len;
	const unsigned char *key_bytes = secret_bytes(key, &key_len);
	wire_put_head(&head, SECRET_TLS_CERTIFICATE_FIELD,
		data_source_len(TLS_CERTIFICATE_CHAIN_FIELD, chain_len) +
			data_source_len(TLS_PRIVATE_KEY_FIELD, key_len));
	put_data_source_head(&head, TLS_CERTIFICATE_CHAIN_FIELD, chain_len);
	put_data_source_head(&key_head, TLS_PRIVATE_KEY_FIELD, key_len);
	size_t chain_at = add_piece(&p, 0, head.data, head.len);
	size_t end = add_piece(&p, chain_at, chain, chain_len);
	size_t key_at = add_piece(&p, end, key_head.data, key_head.len);
	struct fault *f = secret_new_filled(add_piece(&p, key_at, key_bytes, key_len), put_together, &p, ret);
	buf_free(&head);
	buf_free(&key_head);
	if (f)
		return f;
	*ret_chain = (struct body_part){chain_at, chain_len};
	*ret_key = (struct body_part){key_at, key_len};
	return NULL;
}

struct fault *body_encode_bundle(const void *pem, size_t pem_len, struct body_part *ret_pem, struct secret **ret)
{
	struct buf head = BUF_INIT;
	struct pieces p = {.count = 0};
	wire_put_head(&head, SECRET_VALIDATION_CONTEXT_FIELD, data_source_len(VALIDATION_TRUSTED_CA_FIELD, pem_len));
	put_data_source_head(&head, VALIDATION_TRUSTED_CA_FIELD, pem_len);
	size_t pem_at = add_piece(&p, 0, head.data, head.len);
	struct fault *f = secret_new_filled(add_piece(&p, pem_at, pem, pem_len), put_together, &p, ret);
	buf_free(&head);
	if (!f)
		*ret_pem = (struct body_part){pem_at, pem_len};
	return f;
}
