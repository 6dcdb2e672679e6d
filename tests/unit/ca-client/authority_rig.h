/* tests/unit/ca-client/authority_rig.h - the embedded authority on a real loop, with a wall clock that the test sets
 * and a store of one record that the test lets fail or wait. */
#ifndef TESTS_UNIT_CA_CLIENT_AUTHORITY_RIG_H
#define TESTS_UNIT_CA_CLIENT_AUTHORITY_RIG_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/job.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "ca-client/builtin.h"
#include "ca-client/ca.h"
#include "ca-client/keygen.h"
#include "certs.h"
#include "rig_until.h"

struct rig {
	struct clock clock;
	int64_t wall_ms;
	struct loop *loop;
	struct jobs *jobs;
	struct ca *ca;
	/* the store */
	struct secret *kept;
	bool load_fails, save_fails, save_waits;
	int saves, trust_changes;
	void (*save_done)(void *arg, struct fault *f); /* NULL: none is under way */
	void *save_arg;
	struct secret *saving;
	struct timer *save_turn;
	/* what was told */
	int ready, closed;
	struct fault *ready_fault;
	/* the log since rig_start() */
	int log_read, log_write;
	struct timer *watchdog;
};

static int64_t rig_wall(void *arg)
{
	return ((struct rig *)arg)->wall_ms;
}

static int64_t rig_mono(void *arg)
{
	(void)arg;
	return clock_mono_ms(clock_system());
}

static struct fault *rig_load(void *arg, const char *key, const struct secret **ret)
{
	struct rig *r = arg;
	assert_string_equal(key, "hierarchy");
	if (r->load_fails)
		return fault_new(FAULT_CORRUPT, "the record cannot be opened");
	*ret = r->kept;
	return NULL;
}

static inline struct secret *rig_copy(const struct secret *s)
{
	size_t len;
	const unsigned char *bytes = secret_bytes(s, &len);
	struct secret *copy = NULL;
	expect_ok(secret_new(bytes, len, &copy));
	return copy;
}

/* The store's answer, on a turn of its own. */
static void rig_save_turn(void *arg)
{
	struct rig *r = arg;
	void (*done)(void *arg2, struct fault *f) = r->save_done;
	struct fault *f = r->save_fails ? fault_new(FAULT_UNAVAILABLE, "no space left") : NULL;
	r->save_done = NULL;
	if (!f) {
		secret_free(r->kept);
		r->kept = TAKE(r->saving);
	}
	secret_free(TAKE(r->saving));
	done(r->save_arg, f);
}

static void rig_save(void *arg, const char *key, const struct secret *bytes,
	void (*done)(void *done_arg, struct fault *f), void *done_arg)
{
	struct rig *r = arg;
	assert_string_equal(key, "hierarchy");
	assert_null(r->save_done);
	r->saves++;
	r->saving = rig_copy(bytes);
	r->save_done = done;
	r->save_arg = done_arg;
	if (!r->save_waits)
		timer_start(r->save_turn, 0);
}

static void rig_on_trust(void *arg)
{
	((struct rig *)arg)->trust_changes++;
}

/* Everything that is due now, and nothing more. */
static inline void rig_settle(struct rig *r)
{
	for (int i = 0; i < 3; i++)
		(void)loop_turn(r->loop, false);
}

static inline int rig_open(void **state)
{
	struct rig *r = mem_new(struct rig);
	int ends[2];
	r->clock = (struct clock){rig_wall, rig_mono, r};
	r->wall_ms = INT64_C(1800000000000); /* 2027-01-15 */
	expect_ok(loop_new(&r->clock, &r->loop));
	r->jobs = jobs_new(r->loop);
	r->save_turn = timer_new(r->loop, rig_save_turn, r);
	r->watchdog = timer_new(r->loop, rig_watchdog, r);
	assert_int_equal(pipe(ends), 0);
	r->log_read = ends[0];
	r->log_write = ends[1];
	log_set_fd(r->log_write);
	log_set_format(LOG_FORMAT_JSON);
	*state = r;
	return 0;
}

/* The driver alone; it is not started. */
static inline void rig_new(struct rig *r, const struct builtin_options *o)
{
	static const struct builtin_options plain;
	const struct ca_env env = {.loop = r->loop,
		.jobs = r->jobs,
		.clock = &r->clock,
		.authority = "lab",
		.arg = r,
		.load = rig_load,
		.save = rig_save,
		.on_trust = rig_on_trust};
	assert_null(r->ca);
	expect_ok(builtin_new(o ? o : &plain, &env, &r->ca));
}

static inline void rig_on_ready(void *arg, struct fault *f)
{
	struct rig *r = arg;
	r->ready++;
	fault_free(r->ready_fault);
	r->ready_fault = f;
}

/* Starts, and waits for the answer. */
static inline void rig_start(struct rig *r)
{
	int before = r->ready;
	ca_start(r->ca, rig_on_ready, r);
	assert_int_equal(r->ready, before); /* never from within the call */
	rig_until(r, r->ready > before);
}

static inline void rig_on_closed(void *arg)
{
	((struct rig *)arg)->closed++;
}

static inline void rig_stop(struct rig *r)
{
	int before = r->closed;
	ca_close(r->ca, rig_on_closed, r);
	assert_int_equal(r->closed, before);
	rig_until(r, r->closed > before);
	assert_int_equal(r->closed, before + 1);
	r->ca = NULL;
}

/* Does the log since the last look hold this text? Empties it. */
static inline bool rig_logged(struct rig *r, const char *text)
{
	char lines[16384];
	size_t len = 0;
	(void)!write(r->log_write, "\n", 1); /* so that a read cannot block */
	ssize_t n = read(r->log_read, lines, sizeof lines - 1);
	assert_true(n > 0);
	len = (size_t)n;
	lines[len] = 0;
	return strstr(lines, text) != NULL;
}

static inline const char *rig_root_sha256(struct rig *r)
{
	return anchors_info(ca_anchors(r->ca), 0)->sha256;
}

static inline int rig_close(void **state)
{
	struct rig *r = *state;
	if (r->ca)
		rig_stop(r);
	rig_until(r, jobs_pending(r->jobs) == 0);
	timer_free(r->save_turn);
	timer_free(r->watchdog);
	jobs_free(r->jobs);
	loop_free(r->loop); /* aborts when a handle is open */
	secret_free(r->kept);
	secret_free(r->saving);
	fault_free(r->ready_fault);
	log_set_fd(2);
	(void)close(r->log_read);
	(void)close(r->log_write);
	free(r);
	return 0;
}
#endif
