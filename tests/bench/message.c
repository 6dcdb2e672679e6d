#include "tests/bench/message.h"
#include <stdio.h>
#include "base/buf.h"
#include "tests/bench/frame.h"

void message_add_node(size_t bytes, struct buf *ret)
{
	static const uint8_t version[] = {0x0a, 0x04, 0x08, 0x01, 0x10, 0x28}; /* BuildVersion{version{1, 40}} */
	frame_add_text(ret, 2, "bench");
	frame_add_text(ret, 6, "envoy");
	frame_add(ret, 8, version, sizeof(version));
	for (unsigned i = 0; ret->len < bytes; i++) {
		struct buf extension = BUF_INIT;
		char name[64];
		(void)snprintf(name, sizeof(name), "envoy.filters.http.extension_%u", i);
		frame_add_text(&extension, 1, name);
		frame_add_text(&extension, 2, "envoy.filters.http");
		frame_add(ret, 9, extension.data, extension.len);
		buf_free(&extension);
	}
}

void message_add_first(bool delta, const struct buf *node_tail, size_t client, const char *name, struct buf *ret)
{
	struct buf node = BUF_INIT;
	char id[32];
	(void)snprintf(id, sizeof(id), "bench-%06zu", client);
	frame_add_text(&node, 1, id);
	buf_add(&node, node_tail->data, node_tail->len);
	frame_add(ret, delta ? 1 : 2, node.data, node.len);
	frame_add_text(ret, delta ? 2 : 4, FRAME_SECRET_TYPE);
	frame_add_text(ret, 3, name);
	buf_free(&node);
}

bool message_add_ack(bool delta, const char *expected, const uint8_t *bytes, size_t len, struct buf *ret)
{
	struct frame_field version;
	struct frame_field type;
	struct frame_field nonce;
	struct frame_field resource;
	struct frame_field secret;
	struct frame_field name;
	if (!frame_find(bytes, len, 1, &version) || !frame_find(bytes, len, 4, &type) ||
		!frame_find(bytes, len, 5, &nonce) || !frame_find(bytes, len, 2, &resource) ||
		!frame_equals(&type, FRAME_SECRET_TYPE))
		return false;
	if (delta ? !frame_find(resource.bytes, resource.len, 3, &name)
		  : !frame_find(resource.bytes, resource.len, 2, &secret) ||
				!frame_find(secret.bytes, secret.len, 1, &name))
		return false;
	if (!frame_equals(&name, expected))
		return false;
	if (!delta) {
		frame_add(ret, 1, version.bytes, version.len);
		frame_add_text(ret, 3, expected);
	}
	frame_add_text(ret, delta ? 2 : 4, FRAME_SECRET_TYPE);
	frame_add(ret, delta ? 6 : 5, nonce.bytes, nonce.len);
	return true;
}
