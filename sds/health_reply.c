#include "sds/health_reply.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/text.h"
#include "proto/wire.h"

enum { REQUEST_SERVICE = 1, RESPONSE_STATUS = 1, LIST_STATUSES = 1, MAP_KEY = 1, MAP_VALUE = 2 };

struct fault *health_decode_request(const void *bytes, size_t len, size_t max, char **ret)
{
	struct wire_reader r;
	struct wire_field f;
	const uint8_t *service = NULL;
	size_t service_len = 0;
	wire_read(&r, bytes, len);
	while (wire_next(&r, &f))
		if (f.number == REQUEST_SERVICE && f.type == WIRE_BYTES) {
			service = f.bytes;
			service_len = f.len;
		}
	if (r.bad)
		return fault_new(FAULT_INVALID, "the request is no protobuf message");
	if (service_len > max || (service_len && !text_is_name(service, service_len)))
		return fault_new(FAULT_INVALID, "the name of a service has at most %zu bytes of UTF-8", max);
	*ret = mem_strndup((const char *)service, service_len);
	return NULL;
}

void health_encode_status(enum health_status s, struct buf *ret)
{
	wire_put_number(ret, RESPONSE_STATUS, s);
}

void health_encode_list(const char *const *services, size_t count, enum health_status s, struct buf *ret)
{
	struct buf status = BUF_INIT, pair = BUF_INIT;
	health_encode_status(s, &status);
	for (size_t i = 0; i < count; i++) {
		buf_truncate(&pair, 0);
		wire_put_text(&pair, MAP_KEY, services[i]);
		wire_put_bytes(&pair, MAP_VALUE, buf_text(&status), status.len);
		wire_put_bytes(ret, LIST_STATUSES, buf_text(&pair), pair.len);
	}
	buf_free(&pair);
	buf_free(&status);
}
