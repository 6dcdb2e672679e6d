/* sds/frame.c - DiscoveryResponse and DeltaDiscoveryResponse (envoy/service/discovery/v3/discovery.proto), written
 * field by field in an order that leaves Secret's content at the end: protobuf allows any order, and so the content can
 * be one buffer that all streams share. */
#include "sds/frame.h"
#include <string.h>
#include "proto/wire.h"

/* Field numbers, named as upstream. */
enum {
	ANY_TYPE_URL = 1,
	ANY_VALUE = 2,
	CONTROL_PLANE_IDENTIFIER = 1,
	SECRET_NAME = 1,
	RESOURCE_VERSION = 1,
	RESOURCE_RESOURCE = 2,
	RESOURCE_NAME = 3,
	SOTW_VERSION_INFO = 1,
	SOTW_RESOURCES = 2,
	SOTW_TYPE_URL = 4,
	SOTW_NONCE = 5,
	SOTW_CONTROL_PLANE = 6,
	DELTA_SYSTEM_VERSION_INFO = 1,
	DELTA_RESOURCES = 2,
	DELTA_TYPE_URL = 4,
	DELTA_NONCE = 5,
	DELTA_REMOVED_RESOURCES = 6,
	DELTA_CONTROL_PLANE = 7,
};

static void put_control_plane(struct buf *b, unsigned number, const char *identifier)
{
	size_t len = strlen(identifier);
	if (!len)
		return;
	wire_put_head(b, number, wire_bytes_len(CONTROL_PLANE_IDENTIFIER, len));
	wire_put_text(b, CONTROL_PLANE_IDENTIFIER, identifier);
}

/* -- an Any that holds a Secret, up to the Secret's content -- */

static size_t secret_size(size_t name_len, size_t body_len)
{
	return wire_bytes_len(SECRET_NAME, name_len) + body_len;
}

static size_t any_size(const char *type_url, size_t secret)
{
	return wire_bytes_len(ANY_TYPE_URL, strlen(type_url)) + wire_bytes_len(ANY_VALUE, secret);
}

static void put_any(
	struct buf *b, unsigned number, const char *type_url, const char *name, size_t name_len, size_t body_len)
{
	size_t secret = secret_size(name_len, body_len);
	wire_put_head(b, number, any_size(type_url, secret));
	wire_put_text(b, ANY_TYPE_URL, type_url);
	wire_put_head(b, ANY_VALUE, secret);
	wire_put_bytes(b, SECRET_NAME, name, name_len);
}

/* -- */

static void put_sotw_rest(const struct frame *f, struct buf *b)
{
	wire_put_text(b, SOTW_VERSION_INFO, f->version);
	wire_put_text(b, SOTW_TYPE_URL, f->type_url);
	wire_put_text(b, SOTW_NONCE, f->nonce);
	put_control_plane(b, SOTW_CONTROL_PLANE, f->control_plane);
}

static void put_delta_rest(const struct frame *f, struct buf *b)
{
	wire_put_text(b, DELTA_SYSTEM_VERSION_INFO, f->version);
	wire_put_text(b, DELTA_TYPE_URL, f->type_url);
	wire_put_text(b, DELTA_NONCE, f->nonce);
	put_control_plane(b, DELTA_CONTROL_PLANE, f->control_plane);
}

void frame_offer(const struct frame *f, const char *name, size_t body_len, struct buf *ret)
{
	size_t name_len = strlen(name);
	if (!f->delta) {
		put_sotw_rest(f, ret);
		put_any(ret, SOTW_RESOURCES, f->type_url, name, name_len, body_len);
		return;
	}
	size_t any = any_size(f->type_url, secret_size(name_len, body_len));
	put_delta_rest(f, ret);
	wire_put_head(ret, DELTA_RESOURCES,
		wire_bytes_len(RESOURCE_VERSION, strlen(f->version)) + wire_bytes_len(RESOURCE_NAME, name_len) +
			wire_bytes_len(RESOURCE_RESOURCE, any));
	wire_put_text(ret, RESOURCE_VERSION, f->version);
	wire_put_text(ret, RESOURCE_NAME, name);
	put_any(ret, RESOURCE_RESOURCE, f->type_url, name, name_len, body_len);
}

void frame_removed(const struct frame *f, const char *name, size_t name_len, struct buf *ret)
{
	put_delta_rest(f, ret);
	/* An element of a list is written even when it is empty. */
	wire_put_bytes(ret, DELTA_REMOVED_RESOURCES, name, name_len);
}

void frame_fetch_resource(const char *name, size_t body_len, struct buf *ret)
{
	put_any(ret, SOTW_RESOURCES, FRAME_SECRET_TYPE_URL, name, strlen(name), body_len);
}

void frame_fetch_rest(const struct frame *f, struct buf *ret)
{
	put_sotw_rest(f, ret);
}
