/* The audit trail's arithmetic: one record changed, removed, moved, added or cut off is found, whichever it is. */
#include "base/audit_chain.h"
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/fault.h"
#include "base/mem.h"

enum { RECORDS = 12, BASE = 100 };

struct trail {
	struct audit_head head;
	struct audit_record r[RECORDS + 1];
	size_t count;
};

static const char *const EVENTS[] = {"secret.issued", "secret.deleted", "policy.denied"};
static const char *const DETAILS[] = {"{\"entry\":\"a\"}", NULL, "{}", "{\"by\":\"uid 0\"}"};

static struct trail make(int64_t base)
{
	struct trail t = {.head = {.base_seq = base, .seq = base}, .count = RECORDS};
	memset(t.head.base_hash.bytes, base ? 7 : 0, AUDIT_HASH_LEN);
	t.head.hash = t.head.base_hash;
	for (size_t i = 0; i < RECORDS; i++) {
		struct audit_record *r = &t.r[i];
		*r = (struct audit_record){t.head.seq + 1, 1000 + (int64_t)i, EVENTS[i % ARRAY_LEN(EVENTS)],
			DETAILS[i % ARRAY_LEN(DETAILS)], {{0}}};
		r->hash = audit_chain_next(&t.head.hash, r);
		t.head.seq = r->seq;
		t.head.hash = r->hash;
	}
	return t;
}

static struct fault *check(const struct trail *t)
{
	struct audit_check c;
	audit_check_begin(&c, &t->head);
	for (size_t i = 0; i < t->count; i++)
		TRY(audit_check_record(&c, &t->r[i]));
	return audit_check_end(&c);
}

static void expect_broken(const struct trail *t, const char *what)
{
	struct fault *f = check(t);
	if (!f || fault_code(f) != FAULT_CORRUPT)
		fail_msg("not found: %s", what);
	fault_free(f);
}

static void remove_at(struct trail *t, size_t i)
{
	memmove(&t->r[i], &t->r[i + 1], (t->count - i - 1) * sizeof t->r[0]);
	t->count--;
}

static void test_known_hash(void **state)
{
	(void)state;
	/* printf '%064d\n1\n1000\nsecret.issued\n{"entry":"a"}' 0 | sha256sum */
	struct trail t = make(0);
	char hex[AUDIT_HASH_HEX];
	struct audit_hash back;
	audit_hash_hex(&t.r[0].hash, hex);
	assert_string_equal(hex, "ede9d03dced183a5b049846cf934782e3dc85b617613e8ab3080897716b88dbc");
	assert_true(audit_hash_parse(hex, &back));
	assert_true(audit_hash_equal(&back, &t.r[0].hash));
	hex[0] = 'g';
	assert_false(audit_hash_parse(hex, &back));
	assert_false(audit_hash_parse("", &back));
}

static void test_whole_trail(void **state)
{
	(void)state;
	for (int64_t base = 0; base <= BASE; base += BASE) {
		struct trail t = make(base);
		struct fault *f = check(&t);
		assert_null(f);
	}
	struct trail none = make(0);
	none.count = 0;
	none.head = (struct audit_head){0};
	assert_null(check(&none));
}

static void test_each_single_edit(void **state)
{
	(void)state;
	for (size_t i = 0; i < RECORDS; i++) {
		struct trail t = make(BASE);
		t.r[i].at_ms++;
		expect_broken(&t, "time");
		t = make(BASE);
		t.r[i].event = "secret.rotated";
		expect_broken(&t, "event");
		t = make(BASE);
		t.r[i].detail = t.r[i].detail ? NULL : "{}";
		expect_broken(&t, "detail");
		t = make(BASE);
		t.r[i].hash.bytes[i] ^= 1;
		expect_broken(&t, "hash");
		t = make(BASE);
		t.r[i].seq += 1;
		expect_broken(&t, "number");
		t = make(BASE);
		remove_at(&t, i);
		expect_broken(&t, i == RECORDS - 1 ? "cut off" : "removed");
		for (size_t k = 0; k < RECORDS; k++) {
			t = make(BASE);
			struct audit_record r = t.r[i];
			t.r[i] = t.r[k];
			t.r[k] = r;
			if (i != k)
				expect_broken(&t, "moved");
		}
	}
}

/* Somebody who rewrites all that follows an edit still lacks the head. */
static void test_rewritten_tail(void **state)
{
	(void)state;
	for (size_t i = 0; i < RECORDS; i++) {
		struct trail t = make(BASE);
		t.r[i].at_ms++;
		struct audit_hash before = i ? t.r[i - 1].hash : t.head.base_hash;
		for (size_t k = i; k < RECORDS; k++)
			before = t.r[k].hash = audit_chain_next(&before, &t.r[k]);
		expect_broken(&t, "rewritten");
		t.r[RECORDS] = (struct audit_record){t.head.seq + 1, 1, "x", NULL, {{0}}};
		t = make(BASE);
		t.r[RECORDS] = (struct audit_record){t.head.seq + 1, 1, "x", NULL, {{0}}};
		t.r[RECORDS].hash = audit_chain_next(&t.head.hash, &t.r[RECORDS]);
		t.count++;
		expect_broken(&t, "added");
	}
}

/* Edits at random places, many at once: whatever differs from what was written is found. */
static void test_random_edits(void **state)
{
	unsigned seed = 1;
	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct trail was = make(BASE), t = was;
		for (int edits = rand_r(&seed) % 3 + 1; edits > 0; edits--) {
			size_t i = (size_t)rand_r(&seed) % t.count;
			switch (rand_r(&seed) % 5) {
			case 0:
				t.r[i].at_ms += rand_r(&seed) % 3 - 1;
				break;
			case 1:
				t.r[i].event = EVENTS[(size_t)rand_r(&seed) % ARRAY_LEN(EVENTS)];
				break;
			case 2:
				t.r[i].hash.bytes[rand_r(&seed) % AUDIT_HASH_LEN] ^= (unsigned char)(rand_r(&seed) % 2);
				break;
			case 3:
				remove_at(&t, i);
				break;
			default: {
				struct audit_record r = t.r[i];
				size_t k = (size_t)rand_r(&seed) % t.count;
				t.r[i] = t.r[k];
				t.r[k] = r;
			}
			}
		}
		bool same = t.count == was.count;
		for (size_t i = 0; same && i < t.count; i++)
			same = t.r[i].seq == was.r[i].seq && t.r[i].at_ms == was.r[i].at_ms &&
			       strcmp(t.r[i].event, was.r[i].event) == 0 &&
			       audit_hash_equal(&t.r[i].hash, &was.r[i].hash);
		struct fault *f = check(&t);
		assert_int_equal(f == NULL, same);
		fault_free(f);
	}
}

static void test_break_stays_visible(void **state)
{
	(void)state;
	struct trail t = make(BASE);
	t.head.broken_at = 90;
	expect_broken(&t, "an earlier break");
}

/* A head may come from a file of somebody else. */
static void test_numbers_of_a_stranger(void **state)
{
	(void)state;
	struct audit_check c;
	audit_check_begin(&c, &(const struct audit_head){.base_seq = INT64_MIN, .seq = INT64_MAX});
	struct fault *f = audit_check_end(&c);
	assert_non_null(f);
	assert_int_equal(fault_code(f), FAULT_CORRUPT);
	assert_non_null(strstr(fault_text(f), ": 18446744073709551615 are missing"));
	fault_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_known_hash), cmocka_unit_test(test_whole_trail),
		cmocka_unit_test(test_each_single_edit), cmocka_unit_test(test_rewritten_tail),
		cmocka_unit_test(test_random_edits), cmocka_unit_test(test_break_stays_visible),
		cmocka_unit_test(test_numbers_of_a_stranger)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
