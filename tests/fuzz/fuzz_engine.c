/* tests/fuzz/fuzz_engine.c - the bytes are choices: what a client, correct or hostile, the world and the clock do. The
 * engine is compared with the model after each step, see tests/unit/sds/engine_model.h. */
#include "tests/unit/sds/engine_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct dice d = {.at = data, .left = len};
	client_run(&d);
	return 0;
}
