/* tests/fuzz/fuzz_accept.c - the Accept header that chooses the format of /metrics. */
#include <stdlib.h>
#include "base/mem.h"
#include "base/metrics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = mem_strndup((const char *)data, len);
	enum metrics_format f = metrics_format_for(text);
	invariant(f == METRICS_TEXT || f == METRICS_OPENMETRICS);
	free(text);
	return 0;
}
