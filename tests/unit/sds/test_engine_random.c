/* Random sequences against the model and the clients of engine_model.h and engine_client.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "sds/engine_internal.h"
#include "tests/unit/sds/engine_client.h"

static void test_random_sequences(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 1500; seed++) {
		struct dice d = {.left = 40 + seed % 1500, .seed = seed * UINT64_C(0x9e3779b97f4a7c15)};
		client_run(&d);
	}
}

/* Thousands of streams with one name each is the common case (README.md). */
static void test_one_name_is_cheap(void **state)
{
	(void)state;
	assert_in_range(sizeof(struct engine) + sizeof(struct engine_sub) + 64 + 2 * 16, 1, 600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_sequences),
		cmocka_unit_test(test_one_name_is_cheap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
