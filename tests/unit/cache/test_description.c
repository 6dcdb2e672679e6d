/* Descriptions: read back as they were written; anything else is refused, whatever it says of its own size. */
#include "state.h"
#include "cache/canonical.h"
#include "cache/description.h"

static int setup(void **arg)
{
	struct state *s = mem_new(struct state);
	state_init(s);
	*arg = s;
	return 0;
}

static int teardown(void **arg)
{
	state_done(*arg);
	free(*arg);
	return 0;
}

static void expect_same(const struct cert_info *a, const struct cert_info *b)
{
	assert_string_equal(a->subject, b->subject);
	assert_string_equal(a->issuer, b->issuer);
	assert_string_equal(a->serial, b->serial);
	assert_string_equal(a->sha256, b->sha256);
	assert_string_equal(a->key_id, b->key_id);
	assert_string_equal(a->issuer_key_id, b->issuer_key_id);
	assert_string_equal(a->key, b->key);
	assert_int_equal(a->not_before_ms, b->not_before_ms);
	assert_int_equal(a->not_after_ms, b->not_after_ms);
	assert_int_equal(a->is_ca, b->is_ca);
	assert_true(san_set_equal(&a->sans, &b->sans));
}

static void test_written_and_read(void **arg)
{
	struct state *s = *arg;
	struct pki_ca other = pki_ca_new("other");
	const struct pki_ca cas[] = {s->ca, other};
	AUTO(credential_unrefp) struct credential *c = pki_leaf(&s->ca, "spiffe://t/x", 1000, 5000);
	AUTO(anchors_unrefp) struct anchors *a = pki_anchors(cas, 2);
	struct description made[2] = {{NULL, 0}}, back;
	assert_null(description_of_credential(c, &made[0]));
	description_of_anchors(a, &made[1]);
	assert_int_equal(made[0].count, 1);
	assert_int_equal(made[1].count, 2);
	assert_int_equal(description_not_before_ms(&made[0]), 1000);
	assert_int_equal(description_not_after_ms(&made[0]), 5000);
	assert_true(description_is_of(&made[1], a));
	assert_false(description_is_of(&made[0], a));
	for (size_t i = 0; i < ARRAY_LEN(made); i++) {
		struct buf bytes = BUF_INIT;
		description_write(&made[i], &bytes);
		assert_null(description_read(bytes.data, bytes.len, &back));
		assert_int_equal(back.count, made[i].count);
		for (size_t k = 0; k < back.count; k++)
			expect_same(&back.certs[k], &made[i].certs[k]);
		description_free(&back);
		description_free(&made[i]);
		buf_free(&bytes);
	}
	pki_ca_free(&other);
}

static void refuse(const void *bytes, size_t len)
{
	struct description d;
	struct fault *f = description_read(bytes, len, &d);
	assert_true(f && fault_code(f) == FAULT_CORRUPT);
	fault_free(f);
}

static void test_cut_and_lengthened(void **arg)
{
	struct state *s = *arg;
	AUTO(credential_unrefp) struct credential *c = pki_leaf(&s->ca, "spiffe://t/x", 1000, 5000);
	struct description d;
	struct buf bytes = BUF_INIT;
	assert_null(description_of_credential(c, &d));
	description_write(&d, &bytes);
	for (size_t len = 0; len < bytes.len; len++)
		refuse(bytes.data, len);
	buf_add(&bytes, "", 1);
	refuse(bytes.data, bytes.len);
	description_free(&d);
	buf_free(&bytes);
}

static void test_sizes_that_it_claims(void **arg)
{
	(void)arg;
	static const int64_t counts[] = {INT64_MIN, -1, 0, 1, 513, INT64_MAX};
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		struct buf bytes = BUF_INIT;
		canonical_add_int(&bytes, 1);
		canonical_add_int(&bytes, counts[i]);
		refuse(bytes.data, bytes.len);
		buf_free(&bytes);
	}
	struct buf other = BUF_INIT;
	canonical_add_int(&other, 2); /* another format */
	refuse(other.data, other.len);
	buf_free(&other);
	refuse("\xff\xff\xff\xff\xff\xff\xff\xff", 8); /* a NULL text where a number belongs */
	refuse("\x7f\xff\xff\xff", 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_written_and_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut_and_lengthened, setup, teardown),
		cmocka_unit_test(test_sizes_that_it_claims),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
