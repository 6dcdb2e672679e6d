/* Versions: named by content alone, the same wherever they are made again; times and life; bodies as Envoy reads them;
 * the last reference goes to the reaper from any thread. */
#include "state.h"
#include <pthread.h>
#include "cache/description.h"
#include "cache/reaper.h"
#include "proto/wire.h"

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

static struct version *certificate(
	struct entry_key *entry, struct credential *c, const char *authority, int64_t received_at_ms)
{
	const struct version_origin o = {authority, NULL, received_at_ms};
	struct version *v = NULL;
	assert_null(version_new_certificate(entry, c, &o, &v));
	return v;
}

static struct credential *through_pem(const struct credential *c)
{
	struct buf chain = BUF_INIT;
	AUTO(secret_freep) struct secret *key = NULL;
	struct credential *again = NULL;
	credential_chain_pem(c, &chain);
	assert_null(credential_key_pem(c, &key));
	assert_null(credential_from_pem(chain.data, chain.len, key, &again));
	buf_free(&chain);
	return again;
}

static void test_id_is_of_the_content_alone(void **arg)
{
	struct state *s = *arg;
	AUTO(entry_key_unrefp) struct entry_key *entry = entry_key_new("a", NULL, 0);
	AUTO(credential_unrefp) struct credential *c = pki_leaf(&s->ca, "spiffe://t/x", 0, MS_PER_HOUR);
	AUTO(credential_unrefp) struct credential *read_back = through_pem(c);
	AUTO(version_unrefp) struct version *one = certificate(entry, c, "lab", 1000);
	AUTO(version_unrefp) struct version *two = certificate(entry, read_back, NULL, 2000);
	size_t len, two_len;
	const unsigned char *body = version_body(one, BODY_PLAIN, &len);
	assert_int_equal(strlen(version_id(one)), 32);
	assert_int_equal(strspn(version_id(one), "0123456789abcdef"), 32);
	assert_string_equal(version_id(one), version_id(two));
	assert_memory_equal(version_body(two, BODY_PLAIN, &two_len), body, len);
	assert_int_equal(len, two_len);
}

/* Calculated apart from our code, and for good: what a release named so, every later one must name so. */
static const char ROOT[] = "-----BEGIN CERTIFICATE-----\n"
			   "MIIBiTCCAS+gAwIBAgIUKYOESmYxijc4EJsE8wJ5mwSQnV0wCgYIKoZIzj0EAwIw\n"
			   "ETEPMA0GA1UEAwwGZ29sZGVuMCAXDTI2MTEyNDEzNDM1NVoYDzIxMjYxMDMxMTM0\n"
			   "MzU1WjARMQ8wDQYDVQQDDAZnb2xkZW4wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n"
			   "AAQnzd4RabnNYb9VsDgRKD7B7J2p3BCytnJiMPT3efDe5d2uSBSxz0jl3z3pUdQX\n"
			   "039BLiecAS1sEwFKYnzzb41so2MwYTAdBgNVHQ4EFgQU4PyCln/Wpg4sCR6Bspw2\n"
			   "lovL0jAwHwYDVR0jBBgwFoAU4PyCln/Wpg4sCR6Bspw2lovL0jAwDwYDVR0TAQH/\n"
			   "BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAgQwCgYIKoZIzj0EAwIDSAAwRQIhAJIsl0J7\n"
			   "uSgyDqzC0f/57VmB2xbampUGIiMUBfxqOTPjAiAyyeoliGGrYLAGJhYFYiDF6hyG\n"
			   "cao3UaOll3rUADWqgw==\n"
			   "-----END CERTIFICATE-----\n";
static const char LEAF[] = "-----BEGIN CERTIFICATE-----\n"
			   "MIIBwzCCAWmgAwIBAgIUQHb6MUShPd8XP4h5dkdmFmzoVHgwCgYIKoZIzj0EAwIw\n"
			   "ETEPMA0GA1UEAwwGZ29sZGVuMCAXDTI2MTEyNDEzNDM1NVoYDzIxMjYxMDMxMTM0\n"
			   "MzU1WjAPMQ0wCwYDVQQDDARsZWFmMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n"
			   "4FKw+mDOzWgzjMQxYl6xkyBmyUsZQqOQfIcoIzy1KXCGlZIQO7ch7fmMcXo85ub5\n"
			   "XtzKNOhE7vMvDjCiYOQzr6OBnjCBmzAMBgNVHRMBAf8EAjAAMA4GA1UdDwEB/wQE\n"
			   "AwIHgDAdBgNVHSUEFjAUBggrBgEFBQcDAQYIKwYBBQUHAwIwHAYDVR0RBBUwE4YR\n"
			   "c3BpZmZlOi8vdC9nb2xkZW4wHQYDVR0OBBYEFL5HSHi/scPXoAmGE2af6hM4jjsi\n"
			   "MB8GA1UdIwQYMBaAFOD8gpZ/1qYOLAkegbKcNpaLy9IwMAoGCCqGSM49BAMCA0gA\n"
			   "MEUCIQDInEPxqrwFxR4tW7tuoouTlzSOhoXhggjQIUD7G9T/UAIgC96ErnU22n+4\n"
			   "nUUHF5Xv7d9+JiPEnGFtwChR8vZ6yTM=\n"
			   "-----END CERTIFICATE-----\n";
static const char LEAF_KEY[] = "-----BEGIN PRIVATE KEY-----\n"
			       "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgseczT+Ky4fU5pQ16\n"
			       "BJvIyU5PC5UCPdhxbt/bbtewZDShRANCAATgUrD6YM7NaDOMxDFiXrGTIGbJSxlC\n"
			       "o5B8hygjPLUpcIaVkhA7tyHt+Yxxejzm5vle3Mo06ETu8y8OMKJg5DOv\n"
			       "-----END PRIVATE KEY-----\n";

static void test_ids_are_the_same_in_every_release(void **arg)
{
	(void)arg;
	static const char *const attributes[] = {"uid=7"};
	const struct version_origin o = {NULL, NULL, 0};
	AUTO(entry_key_unrefp) struct entry_key *one = entry_key_new("default", attributes, 1);
	AUTO(entry_key_unrefp) struct entry_key *roots = entry_key_new("ROOTCA", NULL, 0);
	AUTO(secret_freep) struct secret *key = NULL;
	AUTO(credential_unrefp) struct credential *c = NULL;
	AUTO(anchors_unrefp) struct anchors *a = NULL;
	AUTO(version_unrefp) struct version *leaf = NULL, *bundle = NULL;
	assert_null(secret_new(LEAF_KEY, sizeof LEAF_KEY - 1, &key));
	assert_null(credential_from_pem(LEAF, sizeof LEAF - 1, key, &c));
	assert_null(anchors_from_pem(ROOT, sizeof ROOT - 1, &a));
	assert_null(version_new_certificate(one, c, &o, &leaf));
	assert_null(version_new_bundle(roots, a, &o, &bundle));
	assert_string_equal(version_id(leaf), "ccf9f6c520146c2edd3a1df53ff2f495");
	assert_string_equal(version_id(bundle), "71d67ac055f3e93e700f71a200bf38a0");
}

static void test_id_covers_entry_content_and_kind(void **arg)
{
	struct state *s = *arg;
	static const char *const attributes[] = {"uid=1"};
	struct entry_key *entries[] = {
		entry_key_new("a", NULL, 0), entry_key_new("b", NULL, 0), entry_key_new("a", attributes, 1)};
	AUTO(credential_unrefp) struct credential *c = pki_leaf(&s->ca, "spiffe://t/x", 0, MS_PER_HOUR);
	AUTO(credential_unrefp) struct credential *other = pki_leaf(&s->ca, "spiffe://t/x", 0, MS_PER_HOUR);
	struct version *versions[] = {certificate(entries[0], c, "lab", 0), certificate(entries[1], c, "lab", 0),
		certificate(entries[2], c, "lab", 0), certificate(entries[0], other, "lab", 0),
		state_bundle(s, entries[0]), state_bundle(s, entries[1])};
	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		for (size_t j = 0; j < ARRAY_LEN(versions); j++)
			assert_int_equal(strcmp(version_id(versions[i]), version_id(versions[j])) == 0, i == j);
	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		version_unref(versions[i]);
	for (size_t i = 0; i < ARRAY_LEN(entries); i++)
		entry_key_unref(entries[i]);
}

static void test_order_of_anchors_does_not_count(void **arg)
{
	struct state *s = *arg;
	AUTO(entry_key_unrefp) struct entry_key *entry = entry_key_new("roots", NULL, 0);
	struct pki_ca second = pki_ca_new("second");
	const struct pki_ca here[] = {s->ca, second}, there[] = {second, s->ca, second};
	AUTO(anchors_unrefp) struct anchors *one = pki_anchors(here, 2), *two = pki_anchors(there, 3);
	AUTO(version_unrefp) struct version *a = NULL, *b = NULL, *single = state_bundle(s, entry);
	const struct version_origin o = {NULL, NULL, 0};
	assert_null(version_new_bundle(entry, one, &o, &a));
	assert_null(version_new_bundle(entry, two, &o, &b));
	assert_string_equal(version_id(a), version_id(b));
	assert_string_not_equal(version_id(a), version_id(single));
	pki_ca_free(&second);
}

static void test_times_and_life(void **arg)
{
	struct state *s = *arg;
	static const struct {
		int64_t not_before_s, not_after_s, received_ms, life_ms;
	} cases[] = {
		{100, 200, 150000, 50000}, /* backdated: life begins when we got it */
		{100, 200, 40000, 100000}, /* not yet valid: with its validity */
		{100, 200, 200000, 0},	   /* dead on arrival */
		{100, 200, 300000, 0},
		{100, 200, 100001, 99999},
	};
	AUTO(entry_key_unrefp) struct entry_key *entry = entry_key_new("a", NULL, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(credential_unrefp)
		struct credential *c =
			pki_leaf(&s->ca, "spiffe://t/x", cases[i].not_before_s * 1000, cases[i].not_after_s * 1000);
		AUTO(version_unrefp) struct version *v = certificate(entry, c, "lab", cases[i].received_ms);
		assert_int_equal(version_not_before_ms(v), cases[i].not_before_s * 1000);
		assert_int_equal(version_not_after_ms(v), cases[i].not_after_s * 1000);
		assert_int_equal(version_received_at_ms(v), cases[i].received_ms);
		assert_int_equal(version_life_ms(v), cases[i].life_ms);
	}
}

static void test_faces(void **arg)
{
	struct state *s = *arg;
	AUTO(entry_key_unrefp) struct entry_key *entry = entry_key_new("a", NULL, 0);
	AUTO(version_unrefp) struct version *leaf = state_leaf(s, entry), *bundle = state_bundle(s, entry);
	assert_string_equal(secret_kind_name(version_kind(leaf)), "tls_certificate");
	assert_string_equal(secret_kind_name(version_kind(bundle)), "validation_context");
	assert_true(san_set_contains(&version_leaf(leaf)->sans, SAN_URI, "spiffe://t/x"));
	assert_null(version_leaf(bundle));
	assert_int_equal(version_description(bundle)->count, 1);
	assert_true(version_description(bundle)->certs[0].is_ca);
	assert_true(entry_key_equal(version_entry(leaf), entry));
}

static void test_credential_is_read_from_the_body(void **arg)
{
	struct state *s = *arg;
	AUTO(entry_key_unrefp) struct entry_key *entry = entry_key_new("a", NULL, 0);
	AUTO(version_unrefp) struct version *leaf = state_leaf(s, entry), *bundle = state_bundle(s, entry);
	AUTO(credential_unrefp) struct credential *c = NULL;
	size_t len;
	assert_null(version_read_credential(leaf, &c));
	assert_string_equal(credential_info(c)->sha256, version_leaf(leaf)->sha256);
	assert_null(version_key_pem(bundle, &len));
	struct fault *f = version_read_credential(bundle, &c);
	assert_true(f && fault_code(f) == FAULT_INVALID);
	fault_free(f);
}

/* What comes back from a record is the same version, in every byte and value. */
static struct version *from_record(const struct version *v, const char *id)
{
	struct buf description = BUF_INIT;
	struct description d = {NULL, 0};
	AUTO(secret_freep) struct secret *key = NULL;
	size_t len;
	const unsigned char *pem = version_key_pem(v, &len);
	if (pem)
		assert_null(secret_new(pem, len, &key));
	description_write(version_description(v), &description);
	assert_null(description_read(description.data, description.len, &d));
	struct version_record r = {.id = id,
		.kind = version_kind(v),
		.origin = {version_authority(v), version_profile(v), version_received_at_ms(v)},
		.description = &d,
		.key = key};
	r.public = version_public_pem(v, &r.public_len);
	struct version *again = NULL;
	struct fault *f = version_from_record(version_entry(v), &r, &again);
	fault_free(f);
	assert_true(!f == (again != NULL));
	description_free(&d);
	buf_free(&description);
	return again;
}

static void test_from_a_record(void **arg)
{
	struct state *s = *arg;
	AUTO(entry_key_unrefp) struct entry_key *entry = entry_key_new("a", NULL, 0);
	struct version *made[] = {state_leaf(s, entry), state_bundle(s, entry)};
	for (size_t i = 0; i < ARRAY_LEN(made); i++) {
		AUTO(version_unrefp) struct version *again = from_record(made[i], version_id(made[i]));
		size_t len, again_len;
		const unsigned char *body = version_body(made[i], BODY_PLAIN, &len);
		assert_memory_equal(version_body(again, BODY_PLAIN, &again_len), body, len);
		assert_int_equal(again_len, len);
		assert_string_equal(version_id(again), version_id(made[i]));
		assert_int_equal(version_not_before_ms(again), version_not_before_ms(made[i]));
		assert_int_equal(version_not_after_ms(again), version_not_after_ms(made[i]));
		assert_int_equal(version_life_ms(again), version_life_ms(made[i]));
		assert_null(from_record(made[i], "short"));
		assert_null(from_record(made[i], "0123456789abcdef0123456789abcdeg"));
		assert_null(from_record(made[i], "0123456789ABCDEF0123456789ABCDEF"));
		version_unref(made[i]);
	}
}

/* --- bodies --- */

/* The only field of a message, by number, as a message or bytes of its own. */
static struct wire_field only(const void *bytes, size_t len, uint32_t number)
{
	struct wire_reader r;
	struct wire_field field = {0}, none;
	wire_read(&r, bytes, len);
	assert_true(wire_next(&r, &field));
	assert_int_equal(field.number, number);
	assert_int_equal(field.type, WIRE_BYTES);
	assert_false(wire_next(&r, &none));
	assert_false(r.bad);
	return field;
}

static void test_body_of_a_certificate(void **arg)
{
	struct state *s = *arg;
	AUTO(entry_key_unrefp) struct entry_key *entry = entry_key_new("a", NULL, 0);
	struct buf chain = BUF_INIT;
	AUTO(credential_unrefp) struct credential *c = pki_leaf(&s->ca, "spiffe://t/x", 0, MS_PER_HOUR);
	AUTO(version_unrefp) struct version *v = certificate(entry, c, "lab", 0);
	AUTO(secret_freep) struct secret *key = NULL;
	size_t len, key_len;
	credential_chain_pem(c, &chain);
	assert_null(credential_key_pem(c, &key));
	const unsigned char *bytes = version_body(v, BODY_PLAIN, &len), *key_bytes = secret_bytes(key, &key_len);
	struct wire_field certificate = only(bytes, len, 2), source;
	struct wire_reader r;
	wire_read(&r, certificate.bytes, certificate.len);
	assert_true(wire_next(&r, &source) && source.number == 1);
	struct wire_field inlined = only(source.bytes, source.len, 2);
	assert_int_equal(inlined.len, chain.len);
	assert_memory_equal(inlined.bytes, chain.data, chain.len);
	assert_true(wire_next(&r, &source) && source.number == 2);
	inlined = only(source.bytes, source.len, 2);
	assert_int_equal(inlined.len, key_len);
	assert_memory_equal(inlined.bytes, key_bytes, key_len);
	assert_false(wire_next(&r, &source) || r.bad);
	buf_free(&chain);
}

static void test_body_of_a_bundle(void **arg)
{
	struct state *s = *arg;
	AUTO(entry_key_unrefp) struct entry_key *entry = entry_key_new("a", NULL, 0);
	AUTO(version_unrefp) struct version *v = state_bundle(s, entry);
	AUTO(anchors_unrefp) struct anchors *a = pki_anchors(&s->ca, 1);
	struct buf pem = BUF_INIT;
	size_t len;
	anchors_pem(a, &pem);
	const unsigned char *bytes = version_body(v, BODY_PLAIN, &len);
	struct wire_field context = only(bytes, len, 4);
	struct wire_field source = only(context.bytes, context.len, 1);
	struct wire_field inlined = only(source.bytes, source.len, 2);
	assert_int_equal(inlined.len, pem.len);
	assert_memory_equal(inlined.bytes, pem.data, pem.len);
	buf_free(&pem);
}

/* --- the last reference --- */

static void *drop(void *arg)
{
	version_unref(arg);
	return NULL;
}

static void drop_on_another_thread(struct version *v)
{
	pthread_t t;
	assert_int_equal(pthread_create(&t, NULL, drop, v), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
}

static void test_last_reference_is_wiped_on_the_loop(void **arg)
{
	struct state *s = *arg;
	AUTO(entry_key_unrefp) struct entry_key *entry = entry_key_new("a", NULL, 0);
	struct reaper *reaper = reaper_new(s->loop);
	size_t before = secret_usage().used_bytes;
	struct version *one = state_leaf(s, entry), *two = state_leaf(s, entry), *late = state_leaf(s, entry);
	size_t with = secret_usage().used_bytes;
	drop_on_another_thread(version_ref(one)); /* not the last */
	drop_on_another_thread(one);
	version_unref(two);
	assert_true(with > before && secret_usage().used_bytes == with); /* nothing is wiped where it fell */
	while (secret_usage().used_bytes > before + (with - before) / 3)
		(void)loop_turn(s->loop, true);
	drop_on_another_thread(late);
	reaper_free(reaper);
	assert_int_equal(secret_usage().used_bytes, before);
	version_unref(state_leaf(s, entry)); /* and without a reaper on the spot */
	assert_int_equal(secret_usage().used_bytes, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_id_is_of_the_content_alone, setup, teardown),
		cmocka_unit_test(test_ids_are_the_same_in_every_release),
		cmocka_unit_test_setup_teardown(test_id_covers_entry_content_and_kind, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order_of_anchors_does_not_count, setup, teardown),
		cmocka_unit_test_setup_teardown(test_times_and_life, setup, teardown),
		cmocka_unit_test_setup_teardown(test_faces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_credential_is_read_from_the_body, setup, teardown),
		cmocka_unit_test_setup_teardown(test_from_a_record, setup, teardown),
		cmocka_unit_test_setup_teardown(test_body_of_a_certificate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_body_of_a_bundle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_last_reference_is_wiped_on_the_loop, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
