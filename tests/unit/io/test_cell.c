#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include "base/attr.h"
#include "base/io/cell.h"
#include "base/mem.h"
#include "base/ref.h"

enum { READERS = 3, ROUNDS = 20000 };

struct value {
	struct ref ref;
	int number;
	bool *freed;
};

static void *ref_value(void *v)
{
	ref_up(&((struct value *)v)->ref);
	return v;
}

static void unref_value(void *arg)
{
	struct value *v = arg;
	if (!ref_down(&v->ref))
		return;
	if (v->freed)
		*v->freed = true;
	free(v);
}

static struct value *value(int number, bool *freed)
{
	struct value *v = mem_new(struct value);
	ref_init(&v->ref);
	v->number = number;
	v->freed = freed;
	return v;
}

static void holds_the_latest(void **state)
{
	(void)state;
	bool first_freed = false, second_freed = false;
	uint64_t seen = 0;
	struct cell *c = cell_new(ref_value, unref_value);
	assert_null(cell_get(c));
	assert_null(cell_get_newer(c, &seen));
	cell_set(c, value(1, &first_freed));
	struct value *v = cell_get_newer(c, &seen);
	assert_int_equal(v->number, 1);
	assert_null(cell_get_newer(c, &seen)); /* had it before */
	cell_set(c, value(2, &second_freed));
	assert_false(first_freed); /* we hold it */
	unref_value(v);
	assert_true(first_freed);
	v = cell_get_newer(c, &seen);
	assert_int_equal(v->number, 2);
	unref_value(v);
	v = cell_get(c);
	assert_int_equal(v->number, 2);
	cell_free(c);
	assert_false(second_freed);
	unref_value(v);
	assert_true(second_freed);
	cell_free(NULL);
}

static void *read_often(void *arg)
{
	uint64_t seen = 0;
	int last = 0;
	while (last < ROUNDS) {
		struct value *v = cell_get_newer(arg, &seen);
		if (!v)
			continue;
		assert_true(v->number > last);
		last = v->number;
		unref_value(v);
		v = cell_get(arg);
		assert_true(v->number >= last);
		unref_value(v);
	}
	return NULL;
}

static void is_read_while_it_is_set(void **state)
{
	(void)state;
	pthread_t readers[READERS];
	struct cell *c = cell_new(ref_value, unref_value);
	for (size_t i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&readers[i], NULL, read_often, c), 0);
	for (int i = 1; i <= ROUNDS; i++)
		cell_set(c, value(i, NULL));
	for (size_t i = 0; i < READERS; i++)
		assert_int_equal(pthread_join(readers[i], NULL), 0);
	cell_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_the_latest),
		cmocka_unit_test(is_read_while_it_is_set),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
