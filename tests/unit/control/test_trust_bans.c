/* tests/unit/control/test_trust_bans.c - the set of banned anchors: bounded, stored and read back, and what cannot be
 * read is never taken for nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/anchors.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/secret.h"
#include "control/trust_bans.h"
#include "pki.h"

static void expect(struct fault *f, enum fault_code code)
{
	assert_non_null(f);
	assert_int_equal(fault_code(f), code);
	fault_free(f);
}

static const char *fingerprint(int i)
{
	static char text[TRUST_SHA256_HEX + 1];
	(void)snprintf(text, sizeof text, "%064x", (unsigned)i);
	return text;
}

static void it_survives_being_stored(void **state)
{
	struct trust_bans *b = trust_bans_new(), *back = NULL;
	AUTO(secret_freep) struct secret *bytes = NULL;
	(void)state;
	assert_null(trust_bans_add(b, fingerprint(1), "CN=one", "uid 0", 5));
	assert_null(trust_bans_add(b, fingerprint(2), "CN=two", "uid 7", 6));
	assert_null(trust_bans_encode(b, &bytes));
	assert_null(trust_bans_decode(bytes, &back));
	assert_int_equal(trust_bans_count(back), 2);
	const struct trust_ban *ban = trust_bans_find(back, fingerprint(2));
	assert_non_null(ban);
	assert_string_equal(ban->subject, "CN=two");
	assert_string_equal(ban->by, "uid 7");
	assert_int_equal(ban->at_ms, 6);
	assert_true(trust_bans_lift(back, fingerprint(1)));
	assert_false(trust_bans_lift(back, fingerprint(1)));
	assert_null(trust_bans_find(back, fingerprint(1)));
	assert_ptr_equal(trust_bans_find(back, fingerprint(2)), trust_bans_at(back, 0));
	trust_bans_free(b);
	trust_bans_free(back);
}

static void it_is_bounded(void **state)
{
	struct trust_bans *b = trust_bans_new();
	(void)state;
	for (int i = 0; i < TRUST_BANS_MAX; i++)
		assert_null(trust_bans_add(b, fingerprint(i), "", "", 0));
	expect(trust_bans_add(b, fingerprint(0), "", "", 0), FAULT_CONFLICT);
	expect(trust_bans_add(b, fingerprint(TRUST_BANS_MAX), "", "", 0), FAULT_EXHAUSTED);
	assert_true(trust_bans_lift(b, fingerprint(3)));
	assert_null(trust_bans_add(b, fingerprint(TRUST_BANS_MAX), "", "", 0));
	trust_bans_free(b);
}

static void what_is_damaged_is_not_read(void **state)
{
	static const char *const damaged[] = {" ", "{", "[]", "{\"layout\":1}", "{\"layout\":2,\"bans\":[]}",
		"{\"layout\":1,\"bans\":{}}", "{\"layout\":1,\"bans\":[{}]}", "{\"layout\":1,\"layout\":1,\"bans\":[]}",
		"{\"layout\":1,\"bans\":[{\"sha256\":\"00\",\"subject\":\"\",\"by\":\"\",\"at\":1}]}"};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
		AUTO(secret_freep) struct secret *bytes = NULL;
		struct trust_bans *b = NULL;
		assert_null(secret_new(damaged[i], strlen(damaged[i]), &bytes));
		expect(trust_bans_decode(bytes, &b), FAULT_CORRUPT);
		assert_null(b);
	}
}

static void what_is_banned_is_filtered(void **state)
{
	struct pki_ca roots[] = {pki_ca_new("one"), pki_ca_new("two")};
	struct anchors *both = pki_anchors(roots, 2), *left = NULL;
	struct trust_bans *b = trust_bans_new();
	(void)state;
	assert_null(trust_bans_filter(b, both, &left));
	assert_ptr_equal(left, both);
	anchors_unref(left);
	assert_null(trust_bans_add(b, anchors_info(both, 0)->sha256, "", "", 0));
	assert_null(trust_bans_filter(b, both, &left));
	assert_int_equal(anchors_count(left), 1);
	assert_true(anchors_contain(left, anchors_cert(both, 1)));
	anchors_unref(left);
	assert_null(trust_bans_add(b, anchors_info(both, 1)->sha256, "", "", 0));
	assert_null(trust_bans_filter(b, both, &left));
	assert_null(left);
	trust_bans_free(b);
	anchors_unref(both);
	pki_ca_free(&roots[0]);
	pki_ca_free(&roots[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_survives_being_stored),
		cmocka_unit_test(it_is_bounded),
		cmocka_unit_test(what_is_damaged_is_not_read),
		cmocka_unit_test(what_is_banned_is_filtered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
