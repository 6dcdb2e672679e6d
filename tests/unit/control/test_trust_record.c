/* tests/unit/control/test_trust_record.c - the history of an authority's anchors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/anchors.h"
#include "base/clock.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/secret.h"
#include "cache/description.h"
#include "control/trust_record.h"
#include "pki.h"

enum { ROOTS = 3 };
static struct pki_ca roots[ROOTS];

static int make_roots(void **state)
{
	(void)state;
	for (int i = 0; i < ROOTS; i++)
		roots[i] = pki_ca_new("root");
	return 0;
}

static int free_roots(void **state)
{
	(void)state;
	for (int i = 0; i < ROOTS; i++)
		pki_ca_free(&roots[i]);
	return 0;
}

static bool show(struct trust_record *r, size_t first, size_t count, int64_t now)
{
	struct anchors *a = pki_anchors(&roots[first], count);
	bool changed = false;
	assert_null(trust_record_show(r, a, now, &changed));
	anchors_unref(a);
	return changed;
}

static struct trust_anchor *of(struct trust_record *r, int root)
{
	for (size_t i = 0; i < trust_record_count(r); i++)
		if (X509_cmp(trust_record_at(r, i)->cert, roots[root].cert) == 0)
			return trust_record_at(r, i);
	return NULL;
}

static void it_follows_what_is_shown(void **state)
{
	struct trust_record *r = trust_record_new();
	(void)state;
	assert_null(trust_record_anchors(r));
	assert_true(show(r, 0, 1, 100));
	assert_false(show(r, 0, 1, 200));
	assert_int_equal(of(r, 0)->since_ms, 100);
	assert_true(show(r, 1, 1, 300));
	assert_int_equal(anchors_count(trust_record_anchors(r)), 2);
	assert_int_equal(of(r, 0)->gone_ms, 300);
	assert_int_equal(of(r, 1)->gone_ms, 0);
	assert_false(show(r, 1, 1, 400));
	assert_int_equal(of(r, 0)->gone_ms, 300);
	assert_true(show(r, 0, 2, 500)); /* it is back */
	assert_int_equal(of(r, 0)->gone_ms, 0);
	assert_int_equal(of(r, 0)->since_ms, 100);
	trust_record_free(r);
}

static void the_earlier_go_a_life_after_their_last_use(void **state)
{
	struct trust_record *r = trust_record_new();
	(void)state;
	show(r, 0, 2, 100);
	of(r, 0)->used_ms = 900;
	show(r, 1, 1, 500);
	assert_false(trust_record_sweep(r, 1000, 1899));
	of(r, 0)->life_ms = 2000; /* a leaf that lives longer than the profile says now */
	assert_false(trust_record_sweep(r, 1000, 2899));
	assert_true(trust_record_sweep(r, 1000, 2900));
	assert_null(of(r, 0));
	assert_int_equal(anchors_count(trust_record_anchors(r)), 1);
	assert_false(trust_record_sweep(r, 1000, INT64_MAX / 2)); /* what is shown stays */
	trust_record_free(r);
}

static void it_survives_being_stored(void **state)
{
	struct trust_record *r = trust_record_new(), *back = NULL;
	struct secret *bytes = NULL;
	(void)state;
	show(r, 0, 2, 100);
	show(r, 1, 2, 200);
	*of(r, 1) = (struct trust_anchor){
		of(r, 1)->cert, of(r, 1)->info, of(r, 1)->sha256, of(r, 1)->subject, 1, 2, 3, 4, 5, NULL, 0};
	assert_null(trust_record_encode(r, &bytes));
	assert_null(trust_record_decode(bytes, &back));
	assert_int_equal(trust_record_count(back), 3);
	assert_true(anchors_equal(trust_record_anchors(r), trust_record_anchors(back)));
	const struct trust_anchor *a = of(back, 1);
	assert_true(a->since_ms == 1 && a->ready_ms == 2 && a->gone_ms == 3 && a->used_ms == 4 && a->life_ms == 5);
	assert_int_equal(of(back, 0)->gone_ms, 200);
	struct anchors *ready = trust_record_ready_anchors(back);
	assert_int_equal(anchors_count(ready), 1);
	assert_true(anchors_contain(ready, roots[1].cert));
	anchors_unref(ready);
	secret_free(bytes);
	trust_record_free(r);
	trust_record_free(back);
}

/* Names are the peers', whatever bytes they hold. */
static void who_is_passed_over(void **state)
{
	static const char odd[] = "n\n\xff\\\x1b";
	struct trust_record *r = trust_record_new(), *back = NULL;
	struct secret *bytes = NULL;
	char node[16];
	(void)state;
	show(r, 0, 2, 100);
	struct trust_anchor *a = of(r, 1);
	assert_true(trust_anchor_pass(a, odd, "uid 1", "uid 0", 7));
	assert_true(trust_anchor_pass(a, odd, "uid 1", "uid 2", 8)); /* already: the first stands */
	assert_int_equal(a->passed_count, 1);
	for (int i = 1; i < TRUST_PASSED_MAX; i++) {
		(void)snprintf(node, sizeof node, "n%d", i);
		assert_true(trust_anchor_pass(a, node, "uid 1", "uid 0", 7));
	}
	assert_false(trust_anchor_pass(a, "one more", "uid 1", "uid 0", 7));
	assert_null(trust_record_encode(r, &bytes));
	assert_null(trust_record_decode(bytes, &back));
	a = of(back, 1);
	assert_int_equal(a->passed_count, TRUST_PASSED_MAX);
	const struct trust_passed *p = trust_anchor_passed(a, odd, "uid 1");
	assert_non_null(p);
	assert_string_equal(p->by, "uid 0");
	assert_int_equal(p->at_ms, 7);
	assert_null(trust_anchor_passed(a, odd, "uid 2"));
	assert_null(trust_anchor_passed(a, "n", "uid 1"));
	assert_null(trust_anchor_passed(of(back, 0), odd, "uid 1"));
	secret_free(bytes);
	trust_record_free(r);
	trust_record_free(back);
}

static void what_is_shown_is_not_dropped(void **state)
{
	struct trust_record *r = trust_record_new();
	char gone[65];
	(void)state;
	show(r, 0, 2, 100);
	show(r, 1, 1, 200);
	(void)snprintf(gone, sizeof gone, "%s", of(r, 0)->sha256);
	assert_false(trust_record_drop(r, of(r, 1)->sha256, false));
	assert_false(trust_record_drop(r, "", false));
	assert_true(trust_record_drop(r, gone, false));
	assert_false(trust_record_drop(r, gone, false));
	assert_int_equal(anchors_count(trust_record_anchors(r)), 1);
	trust_record_free(r);
}

static void an_empty_one_survives_too(void **state)
{
	struct trust_record *r = trust_record_new(), *back = NULL;
	struct secret *bytes = NULL;
	(void)state;
	assert_null(trust_record_encode(r, &bytes));
	assert_null(trust_record_decode(bytes, &back));
	assert_int_equal(trust_record_count(back), 0);
	assert_null(trust_record_ready_anchors(back));
	secret_free(bytes);
	trust_record_free(r);
	trust_record_free(back);
}

static void damage_is_told(void **state)
{
	static const char *const texts[] = {"", "{", "[]", "{\"layout\":1}", "{\"layout\":2,\"anchors\":[]}",
		"{\"layout\":1,\"anchors\":{}}", "{\"layout\":1,\"anchors\":[{}]}",
		("{\"layout\":1,\"anchors\":[{\"pem\":\"x\",\"since\":1,\"ready\":0,\"gone\":0,\"used\":0,\"life\":0}]"
		 "}")};
	(void)state;
	for (size_t i = 1; i < sizeof texts / sizeof *texts; i++) {
		struct secret *bytes = NULL;
		struct trust_record *r = NULL;
		assert_null(secret_new(texts[i], strlen(texts[i]), &bytes));
		struct fault *f = trust_record_decode(bytes, &r);
		assert_non_null(f);
		assert_null(r);
		fault_free(f);
		secret_free(bytes);
	}
}

static void the_earlier_are_bounded(void **state)
{
	struct trust_record *r = trust_record_new();
	(void)state;
	for (int i = 0; i < TRUST_EARLIER_MAX + 3; i++) {
		struct pki_ca ca = pki_ca_new("one of many");
		struct anchors *a = pki_anchors(&ca, 1);
		bool changed = false;
		assert_null(trust_record_show(r, a, i + 1, &changed));
		assert_true(changed);
		anchors_unref(a);
		pki_ca_free(&ca);
	}
	assert_int_equal(trust_record_count(r), TRUST_EARLIER_MAX + 1);
	assert_int_equal(anchors_count(trust_record_anchors(r)), TRUST_EARLIER_MAX + 1);
	for (size_t i = 0; i < trust_record_count(r); i++)
		assert_true(trust_record_at(r, i)->since_ms > 2); /* the first two went */
	trust_record_free(r);
}

static void a_leaf_leads_to_its_root_alone(void **state)
{
	int64_t now = clock_wall_ms(clock_system());
	struct credential *c = pki_leaf(&roots[0], "spiffe://td/x", now, now + MS_PER_HOUR);
	(void)state;
	struct trust_record *r = trust_record_new();
	struct description chain;
	assert_null(description_of_credential(c, &chain));
	show(r, 0, 2, 1); /* the same name, other keys */
	assert_int_equal(trust_record_count(r), 2);
	for (size_t i = 0; i < 2; i++) {
		const struct trust_anchor *a = trust_record_at(r, i);
		assert_int_equal(trust_leads_to(&chain, a), X509_cmp(a->cert, roots[0].cert) == 0);
	}
	description_free(&chain);
	trust_record_free(r);
	credential_unref(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_follows_what_is_shown),
		cmocka_unit_test(the_earlier_go_a_life_after_their_last_use),
		cmocka_unit_test(it_survives_being_stored),
		cmocka_unit_test(who_is_passed_over),
		cmocka_unit_test(what_is_shown_is_not_dropped),
		cmocka_unit_test(an_empty_one_survives_too),
		cmocka_unit_test(damage_is_told),
		cmocka_unit_test(the_earlier_are_bounded),
		cmocka_unit_test(a_leaf_leads_to_its_root_alone),
	};
	return cmocka_run_group_tests(tests, make_roots, free_roots);
}
