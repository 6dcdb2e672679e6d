#include "xds_message.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SECRET_TYPE "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

static void add_varint(struct buf *b, uint64_t v)
{
	unsigned char byte;
	do {
		byte = (unsigned char)(v & 0x7f);
		v >>= 7;
		if (v)
			byte |= 0x80;
		buf_add(b, &byte, 1);
	} while (v);
}

static void add_bytes(struct buf *b, unsigned field, const void *bytes, size_t len)
{
	add_varint(b, field << 3 | 2);
	add_varint(b, len);
	buf_add(b, bytes, len);
}

static void add_text(struct buf *b, unsigned field, const char *text)
{
	if (text && *text)
		add_bytes(b, field, text, strlen(text));
}

static void add_node(struct buf *b, unsigned field, const char *id)
{
	struct buf node = BUF_INIT;
	if (!id)
		return;
	add_text(&node, 1, id);
	add_bytes(b, field, node.data, node.len);
	buf_free(&node);
}

static void add_error(struct buf *b, unsigned field, const char *text)
{
	struct buf status = BUF_INIT;
	if (!text)
		return;
	add_varint(&status, 1 << 3);
	add_varint(&status, 13);
	add_text(&status, 2, text);
	add_bytes(b, field, status.data, status.len);
	buf_free(&status);
}

static void add_held(struct buf *b, const struct xds_ask *a)
{
	struct buf entry = BUF_INIT;
	if (!a->held_name)
		return;
	add_text(&entry, 1, a->held_name);
	add_text(&entry, 2, a->held_version);
	add_bytes(b, 5, entry.data, entry.len);
	buf_free(&entry);
}

void xds_write(const struct xds_ask *a, struct buf *ret)
{
	const char *type = a->type_url ? a->type_url : SECRET_TYPE;
	if (!a->delta)
		add_text(ret, 1, a->version);
	add_node(ret, a->delta ? 1 : 2, a->node_id);
	for (size_t i = 0; i < XDS_NAMES_MAX && a->names[i]; i++)
		add_text(ret, 3, a->names[i]);
	for (size_t i = 0; a->delta && i < XDS_NAMES_MAX && a->unsubscribe[i]; i++)
		add_text(ret, 4, a->unsubscribe[i]);
	add_text(ret, a->delta ? 2 : 4, type);
	if (a->delta)
		add_held(ret, a);
	add_text(ret, a->delta ? 6 : 5, a->nonce);
	add_error(ret, a->delta ? 7 : 6, a->error);
}

/* --- reading --- */

struct cursor {
	const unsigned char *at, *end;
};

static bool take_varint(struct cursor *c, uint64_t *ret)
{
	*ret = 0;
	for (unsigned shift = 0; c->at < c->end && shift < 64; shift += 7) {
		unsigned char byte = *c->at++;
		*ret |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

/* Every field of these messages that matters is length-delimited; others are passed over. */
static bool take_field(struct cursor *c, unsigned *ret_field, struct cursor *ret)
{
	uint64_t tag, len;
	if (!take_varint(c, &tag))
		return false;
	*ret_field = (unsigned)(tag >> 3);
	*ret = (struct cursor){c->at, c->at};
	if ((tag & 7) == 0)
		return take_varint(c, &len);
	if ((tag & 7) != 2 || !take_varint(c, &len) || len > (uint64_t)(c->end - c->at))
		return false;
	*ret = (struct cursor){c->at, c->at + len};
	c->at += len;
	return true;
}

static void copy_text(const struct cursor *c, char ret[XDS_TEXT_MAX])
{
	(void)snprintf(ret, XDS_TEXT_MAX, "%.*s", (int)(c->end - c->at), (const char *)c->at);
}

static bool read_secret(struct cursor c, struct xds_answer *ret)
{
	struct cursor f;
	unsigned field;
	size_t all = (size_t)(c.end - c.at);
	if (ret->count == XDS_NAMES_MAX)
		return false;
	while (c.at < c.end) {
		const unsigned char *from = c.at;
		if (!take_field(&c, &field, &f))
			return false;
		if (field == 1) {
			copy_text(&f, ret->names[ret->count]);
			all -= (size_t)(c.at - from);
		}
	}
	ret->body_len = all;
	ret->count++;
	return true;
}

static bool read_any(struct cursor c, struct xds_answer *ret)
{
	struct cursor f;
	unsigned field;
	while (c.at < c.end) {
		if (!take_field(&c, &field, &f) || (field == 2 && !read_secret(f, ret)))
			return false;
	}
	return true;
}

static bool read_resource(struct cursor c, struct xds_answer *ret)
{
	struct cursor f;
	unsigned field;
	while (c.at < c.end) {
		if (!take_field(&c, &field, &f) || (field == 2 && !read_any(f, ret)))
			return false;
		if (field == 1)
			copy_text(&f, ret->version);
	}
	return true;
}

static bool read_answer_field(unsigned field, struct cursor f, bool delta, struct xds_answer *ret)
{
	switch (field) {
	case 1:
		if (!delta)
			copy_text(&f, ret->version);
		return true;
	case 2:
		return delta ? read_resource(f, ret) : read_any(f, ret);
	case 4:
		copy_text(&f, ret->type_url);
		return true;
	case 5:
		copy_text(&f, ret->nonce);
		return true;
	case 6:
		if (delta && ret->removed_count < XDS_NAMES_MAX)
			copy_text(&f, ret->removed[ret->removed_count++]);
		return true;
	default:
		return true;
	}
}

bool xds_read(const struct buf *bytes, bool delta, struct xds_answer *ret)
{
	struct cursor c = {bytes->data, bytes->data + bytes->len}, f;
	unsigned field;
	memset(ret, 0, sizeof *ret);
	while (c.at < c.end)
		if (!take_field(&c, &field, &f) || !read_answer_field(field, f, delta, ret))
			return false;
	return true;
}
