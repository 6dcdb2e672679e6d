/* tests/unit/control/test_admission.c - whose turn it is, how many at once, how many a second. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "control/admission.h"

static void the_most_urgent_goes_first(void **state)
{
	struct ticket t[] = {{.ends_ms = 300}, {.ends_ms = 100, .waiters = 1}, {.ends_ms = 100, .waiters = 5},
		{.ends_ms = 0}, {.ends_ms = 100, .waiters = 1}};
	static const size_t order[] = {3, 2, 1, 4, 0};
	struct admission *a = admission_new(10, 0);
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		admission_wait(a, &t[i]);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_ptr_equal(admission_next(a, 0), &t[order[i]]);
	assert_null(admission_next(a, 0));
	assert_int_equal(admission_running(a), ARRAY_LEN(t));
	admission_free(a);
}

static void so_many_at_once(void **state)
{
	struct ticket t[3];
	struct admission *a = admission_new(2, 0);
	(void)state;
	memset(t, 0, sizeof t);
	for (size_t i = 0; i < 3; i++)
		admission_wait(a, &t[i]);
	assert_non_null(admission_next(a, 0));
	assert_non_null(admission_next(a, 0));
	assert_null(admission_next(a, 0));
	assert_int_equal(admission_next_at_ms(a, 0), -1); /* a release comes first */
	admission_release(a);
	assert_int_equal(admission_next_at_ms(a, 5), 5);
	assert_ptr_equal(admission_next(a, 5), &t[2]);
	assert_int_equal(admission_next_at_ms(a, 5), -1);
	admission_free(a);
}

static void so_many_a_second(void **state)
{
	enum { N = 100 };
	struct ticket t[N];
	struct admission *a = admission_new(N, 10);
	int64_t now = 5000, first = now;
	(void)state;
	memset(t, 0, sizeof t);
	for (size_t i = 0; i < N; i++)
		admission_wait(a, &t[i]);
	size_t gone = 0;
	while (gone < N) {
		while (admission_next(a, now))
			gone++;
		if (gone < N) {
			int64_t at = admission_next_at_ms(a, now);
			assert_true(at > now);
			now = at;
		}
	}
	assert_in_range(now - first, 9000, 9100); /* a burst of one second's worth, then the rate */
	admission_free(a);
}

static void a_bucket_never_holds_more_than_a_second(void **state)
{
	struct ticket t[20];
	struct admission *a = admission_new(20, 5);
	size_t gone = 0;
	(void)state;
	memset(t, 0, sizeof t);
	assert_null(admission_next(a, 0));
	for (size_t i = 0; i < 20; i++)
		admission_wait(a, &t[i]);
	while (admission_next(a, INT64_C(1) << 50))
		gone++;
	assert_int_equal(gone, 5);
	while (admission_refuse(a))
		gone++;
	assert_int_equal(gone, 20);
	admission_free(a);
}

static void a_throttled_authority_is_left_alone(void **state)
{
	struct ticket t = {.ends_ms = 1};
	struct admission *a = admission_new(2, 0);
	(void)state;
	admission_wait(a, &t);
	admission_pause(a, 700);
	admission_pause(a, 300); /* a shorter one does not cut it */
	assert_null(admission_next(a, 699));
	assert_int_equal(admission_next_at_ms(a, 100), 700);
	assert_ptr_equal(admission_next(a, 700), &t);
	admission_free(a);
}

/* Random comings and goings against a plain list. */
static void the_order_holds_whoever_leaves(void **state)
{
	enum { N = 300 };
	struct ticket t[N];
	struct admission *a = admission_new(N, 0);
	unsigned seed = 1;
	(void)state;
	memset(t, 0, sizeof t);
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < N; i++) {
			seed = seed * 1103515245 + 12345;
			t[i].ends_ms = seed >> 16 & 31;
			t[i].waiters = seed >> 24 & 3;
			admission_wait(a, &t[i]);
		}
		for (size_t i = 0; i < N; i += 3)
			admission_leave(a, &t[i]);
		admission_leave(a, &t[0]); /* twice is fine */
		const struct ticket *last = NULL;
		size_t count = 0;
		for (struct ticket *next; (next = admission_next(a, 0)); last = next, count++) {
			assert_int_not_equal((next - t) % 3, 0);
			if (last)
				assert_true(last->ends_ms < next->ends_ms ||
					    (last->ends_ms == next->ends_ms &&
						    (last->waiters > next->waiters ||
							    (last->waiters == next->waiters &&
								    last->number < next->number))));
			admission_release(a);
		}
		assert_int_equal(count, N - N / 3);
	}
	admission_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_most_urgent_goes_first),
		cmocka_unit_test(so_many_at_once),
		cmocka_unit_test(so_many_a_second),
		cmocka_unit_test(a_bucket_never_holds_more_than_a_second),
		cmocka_unit_test(a_throttled_authority_is_left_alone),
		cmocka_unit_test(the_order_holds_whoever_leaves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
