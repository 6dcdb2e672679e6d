/* tests/fuzz/fuzz_health.c - any bytes as a health request: the service is what protobuf-c finds there. */
#include <stdint.h>
#include <string.h>
#include "base/fault.h"
#include "base/mem.h"
#include "base/text.h"
#include "grpc/health/v1/health.pb-c.h"
#include "sds/health_reply.h"

enum { SERVICE_MAX = 256, REFERENCE_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	AUTO(mem_freep) char *service = NULL;
	AUTO(fault_freep) struct fault *f = health_decode_request(data, len, SERVICE_MAX, &service);
	if (f) {
		invariant(!service && fault_code(f) == FAULT_INVALID);
		return 0;
	}
	invariant(strlen(service) <= SERVICE_MAX && text_is_utf8(service, strlen(service)));
	if (len > REFERENCE_MAX)
		return 0;
	Grpc__Health__V1__HealthCheckRequest *m = grpc__health__v1__health_check_request__unpack(NULL, len, data);
	invariant(!m || !strcmp(m->service, service));
	grpc__health__v1__health_check_request__free_unpacked(m, NULL);
	return 0;
}
