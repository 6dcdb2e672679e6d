/* tests/unit/control/test_rate.c - what one authority is asked at once and a second, and in which order. */
#include "control/rig.h"
#include "base/buf.h"

enum { SECRETS = 40 };

static char *config(const char *limits)
{
	struct buf b = BUF_INIT;
	buf_printf(&b,
		"listen: [{unix: {path: /run/x/sds.sock}}]\nauthorities: {ca: {type: builtin, %s}}\n"
		"profiles: {short: {authority: ca, lifetime: 1h}, long: {authority: ca, lifetime: 9h}}\nsecrets:\n",
		limits);
	for (int i = 0; i < SECRETS; i++)
		buf_printf(&b, "  s%d: {profile: %s, dns: [s%d.example]}\n", i, i % 2 ? "short" : "long", i);
	buf_add_text(&b, "policy: [{who: {uid: 7}, may: [\"**\"]}]\n");
	return buf_take_text(&b);
}

static struct rig *start(const char *limits)
{
	struct rig *r = rig_prepare();
	AUTO(mem_freep) char *yaml = config(limits);
	r->fakes[0].name = "ca";
	rig_start(r, yaml);
	return r;
}

static void so_many_at_once(void **state)
{
	struct rig *r = start("max_in_flight: 3");
	(void)state;
	r->fakes[0].ca->script.delay_ms = 2;
	rig_until(r, r->ready);
	assert_int_equal(r->fakes[0].ca->requests, SECRETS);
	assert_int_equal(r->fakes[0].ca->running_most, 3);
	rig_free(r);
}

static void so_many_a_second(void **state)
{
	int64_t began = clock_mono_ms(clock_system());
	struct rig *r = start("rate: 20");
	(void)state;
	rig_until(r, r->ready);
	assert_int_equal(r->fakes[0].ca->requests, SECRETS);
	assert_true(clock_mono_ms(clock_system()) - began >= 950); /* twenty at once, twenty in the second after it */
	rig_free(r);
}

/* A throttled authority is left alone for as long as it says; nobody asks it again before. */
static void a_throttle_is_respected(void **state)
{
	struct rig *r = start("max_in_flight: 1");
	(void)state;
	int64_t began = clock_mono_ms(clock_system());
	fake_ca_next(r->fakes[0].ca,
		(struct fake_script){.fault = FAULT_EXHAUSTED, .retryable = true, .retry_after_ms = 700});
	rig_until(r, r->fakes[0].ca->requests == 2);
	assert_true(clock_mono_ms(clock_system()) - began >= 690);
	rig_until(r, r->ready);
	assert_int_equal(r->fakes[0].ca->requests, SECRETS + 1);
	rig_free(r);
}

static size_t times_of(const struct rig *r, int remainder)
{
	size_t n = 0;
	for (int i = 0; i < SECRETS; i++) {
		char name[16];
		(void)snprintf(name, sizeof name, "s%d", i);
		n += i % 2 == remainder && rig_times(r, TOLD_PUBLISH, name) > 1;
	}
	return n;
}

/* All come due at once: those that end first go first. */
static void the_least_life_goes_first(void **state)
{
	struct rig *r = start("max_in_flight: 1");
	(void)state;
	rig_until(r, r->ready);
	r->fakes[0].ca->script.delay_ms = 1;
	r->shift_ms += 8 * MS_PER_HOUR;
	while (times_of(r, 1) < SECRETS / 2) {
		assert_true(times_of(r, 0) <= 1); /* one may have gone when the first of all came due */
		(void)loop_turn(r->loop, true);
	}
	rig_until(r, times_of(r, 0) == SECRETS / 2);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(so_many_at_once),
		cmocka_unit_test(so_many_a_second),
		cmocka_unit_test(a_throttle_is_respected),
		cmocka_unit_test(the_least_life_goes_first),
	};
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
