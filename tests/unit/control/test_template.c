/* Templates: what parses, what is refused and with which words, and that no attribute reaches beyond its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/fault.h"
#include "base/mem.h"
#include "cache/entry.h"
#include "control/template.h"

static struct template *parsed(const char *text, enum san_type type)
{
	struct template *t = NULL;
	struct fault *f = template_parse(text, type, &t);
	if (f)
		fail_msg("%s: %s", text, fault_text(f));
	return t;
}

/* The expansion, or the code of the fault. The caller owns the text. */
static enum fault_code expand(const char *text, enum san_type type, const char *attribute, char **ret)
{
	struct template *t = parsed(text, type);
	struct entry_key *e = entry_key_new("default", &attribute, attribute ? 1 : 0);
	struct fault *f = template_expand(t, e, ret);
	enum fault_code code = f ? fault_code(f) : 0;
	fault_free(f);
	entry_key_unref(e);
	template_free(t);
	return code;
}

static void test_expansion(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum san_type type;
		const char *attribute, *expected;
	} cases[] = {
		{"spiffe://td.example/web", SAN_URI, NULL, "spiffe://td.example/web"},
		{"spiffe://td.example/uid/{uid}", SAN_URI, "uid=1000", "spiffe://td.example/uid/1000"},
		{"spiffe://td.example/{uid}/x", SAN_URI, "uid=0", "spiffe://td.example/0/x"},
		{"urn:uid:{uid}", SAN_URI, "uid=7", "urn:uid:7"},
		{"spiffe://td.example/x/{spiffe.path}", SAN_URI, "spiffe.path=a/b.c", "spiffe://td.example/x/a/b.c"},
		{"spiffe://{spiffe.trust_domain}/x", SAN_URI, "spiffe.trust_domain=td.example",
			"spiffe://td.example/x"},
		{"spiffe://td.example/by-name/{dns}", SAN_URI, "dns=a.example",
			"spiffe://td.example/by-name/a.example"},
		{"{uri}", SAN_URI, "uri=spiffe://td.example/a/b", "spiffe://td.example/a/b"},
		{"{dns}", SAN_DNS, "dns=a.b.example", "a.b.example"},
		{"{dns}.td.example", SAN_DNS, "dns=a", "a.td.example"},
		{"u{uid}.td.example", SAN_DNS, "uid=12", "u12.td.example"},
		{"x.{spiffe.trust_domain}", SAN_DNS, "spiffe.trust_domain=td.example", "x.td.example"},
		{"u{uid}@td.example", SAN_EMAIL, "uid=12", "u12@td.example"},
		{"192.0.2.1", SAN_IP, NULL, "192.0.2.1"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(mem_freep) char *value = NULL;
		assert_int_equal(expand(cases[i].text, cases[i].type, cases[i].attribute, &value), 0);
		assert_string_equal(value, cases[i].expected);
	}
}

static void test_values_stay_in_their_place(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum san_type type;
		const char *attribute;
	} cases[] = {
		{"spiffe://td.example/x/{dns}", SAN_URI, "dns=a/../admin"},
		{"spiffe://td.example/x/{dns}", SAN_URI, "dns=.."},
		{"spiffe://td.example/x/{dns}", SAN_URI, "dns=."},
		{"spiffe://td.example/x/{dns}", SAN_URI, "dns="},
		{"spiffe://td.example/x/{dns}", SAN_URI, "dns=a%2fb"},
		{"spiffe://td.example/x/{dns}", SAN_URI, "dns=a?b"},
		{"spiffe://td.example/x/{dns}", SAN_URI, "dns=a#b"},
		{"spiffe://td.example/x/{dns}", SAN_URI, "dns=a b"},
		{"spiffe://td.example/x/{dns}", SAN_URI, "dns=a\nb"},
		{"spiffe://td.example/x/{dns}", SAN_URI, "dns=a\\b"},
		{"spiffe://td.example/x/{dns}", SAN_URI, "dns=\xc3\xa9"},
		{"spiffe://td.example/x/{dns}", SAN_URI, "dns=*"},
		{"spiffe://td.example/x/{spiffe.path}", SAN_URI, "spiffe.path=a//b"},
		{"spiffe://td.example/x/{spiffe.path}", SAN_URI, "spiffe.path=a/../b"},
		{"spiffe://td.example/x/{spiffe.path}", SAN_URI, "spiffe.path=a/"},
		{"spiffe://td.example/x/{spiffe.path}", SAN_URI, "spiffe.path=/a"},
		{"spiffe://{spiffe.trust_domain}/x", SAN_URI, "spiffe.trust_domain=td/evil"},
		{"{dns}.td.example", SAN_DNS, "dns=a.b"},
		{"{dns}.td.example", SAN_DNS, "dns=*"},
		{"{dns}.td.example", SAN_DNS, "dns=-a"},
		{"{dns}", SAN_DNS, "dns=*.example"},
		{"{dns}", SAN_DNS, "dns=a..b"},
		{"{spiffe.path}.td.example", SAN_DNS, "spiffe.path=a/b"},
		{"{spiffe.path}.td.example", SAN_DNS, "spiffe.path=Web"}, /* not the same as "web" */
		{"x.{spiffe.trust_domain}", SAN_DNS, "spiffe.trust_domain=TD.example"},
		{"u{dns}@td.example", SAN_EMAIL, "dns=x@evil.example"},
		{"spiffe://td.example/{uid}", SAN_URI, "uid=1x"},
		{"spiffe://td.example/{uid}", SAN_URI, "uid="},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(mem_freep) char *value = NULL;
		if (expand(cases[i].text, cases[i].type, cases[i].attribute, &value) != FAULT_DENIED)
			fail_msg("%s of %s", cases[i].text, cases[i].attribute);
		assert_null(value);
	}
}

static void test_missing_attribute(void **state)
{
	(void)state;
	AUTO(mem_freep) char *value = NULL;
	assert_int_equal(expand("spiffe://td.example/{uid}", SAN_URI, NULL, &value), FAULT_NOT_FOUND);
	assert_int_equal(expand("spiffe://td.example/{uid}", SAN_URI, "uidx=1", &value), FAULT_NOT_FOUND);
	assert_int_equal(expand("spiffe://td.example/{uid}", SAN_URI, "gid=1", &value), FAULT_NOT_FOUND);
}

static void test_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum san_type type;
		const char *says;
	} cases[] = {
		{"", SAN_URI, "1 to 2048 bytes"},
		{"spiffe://td.example/{uid", SAN_URI, "column 21: \"{\" without its \"}\""},
		{"spiffe://td.example/uid}", SAN_URI, "column 24: \"}\" without its \"{\""},
		{"spiffe://td.example/{uid{", SAN_URI, "column 21"},
		{"spiffe://td.example/{user}", SAN_URI, "there is no variable {user}; there are: {uid}, {gid}, {uri}"},
		{"spiffe://td.example/{}", SAN_URI, "there is no variable {}"},
		{"spiffe://td.example/{ uid }", SAN_URI, "there is no variable { uid }"},
		{"{{uid}}", SAN_URI, "no URI name"},
		{"spiffe://td.example/{uid}{gid}", SAN_URI, "{uid} and {gid} could run into each other"},
		{"spiffe://td.example/{dns}-{uid}", SAN_URI, "could run into each other"},
		{"spiffe://td.example/{uid}1{gid}", SAN_URI, "could run into each other"},
		{"{dns}-{uid}.td.example", SAN_DNS, "could run into each other; put \".\" between"},
		{"{uid}://td.example/x", SAN_URI, "{uid} cannot be a URI's scheme"},
		{"spiffe{uid}://td.example/x", SAN_URI, "{uid} cannot be a URI's scheme"},
		{"spiffe://td.example{dns}/x", SAN_URI, "{dns} stands in the URI's host"},
		{"spiffe://{dns}/x", SAN_URI, "{dns} stands in the URI's host"},
		{"spiffe://{spiffe.trust_domain}.evil/x", SAN_URI, "stands in the URI's host"},
		{"spiffe://x{spiffe.trust_domain}/x", SAN_URI, "stands in the URI's host"},
		{"spiffe://td.example/{uri}", SAN_URI, "{uri} is a whole URI"},
		{"{uri}", SAN_DNS, "{uri} is a URI"},
		{"{dns}", SAN_URI, "{dns} is no URI"},
		{"{uid}@{dns}", SAN_EMAIL, "{dns} stands behind the \"@\""},
		{"{uid}", SAN_EMAIL, "no email name"},
		{"{dns}", SAN_IP, "an IP address has no variables"},
		{"10.0.0.300", SAN_IP, "no IP name"},
		{"web_.example-", SAN_DNS, "no DNS name"},
		{"not a uri", SAN_URI, "no URI name"},
		{"web", SAN_EMAIL, "no email name"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct template *t = NULL;
		AUTO(fault_freep) struct fault *f = template_parse(cases[i].text, cases[i].type, &t);
		if (!f)
			fail_msg("%s was taken", cases[i].text);
		assert_null(t);
		assert_int_equal(fault_code(f), FAULT_INVALID);
		if (!strstr(fault_text(f), cases[i].says))
			fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].text, fault_text(f), cases[i].says);
	}
}

static void test_numbers_may_be_neighbours(void **state)
{
	(void)state;
	struct template *t = parsed("spiffe://td.example/{uid}-{gid}", SAN_URI);
	const char *const attributes[] = {"gid=2", "uid=1"};
	struct entry_key *e = entry_key_new("x", attributes, 2);
	AUTO(mem_freep) char *value = NULL;
	struct fault *f = template_expand(t, e, &value);
	assert_null(f);
	assert_string_equal(value, "spiffe://td.example/1-2");
	entry_key_unref(e);
	template_free(t);
}

static void test_variables(void **state)
{
	(void)state;
	struct template *t = parsed("spiffe://td.example/{uid}/{spiffe.path}/{uid}/{gid}", SAN_URI);
	assert_int_equal(template_variable_count(t), 3);
	assert_string_equal(template_variable(t, 0), "uid");
	assert_string_equal(template_variable(t, 1), "spiffe.path");
	assert_string_equal(template_variable(t, 2), "gid");
	template_free(t);
	t = parsed("web.example", SAN_DNS);
	assert_int_equal(template_variable_count(t), 0);
	template_free(t);
	template_free(NULL);
}

static void test_too_long(void **state)
{
	(void)state;
	char *text = mem_calloc(1, 3000);
	struct template *t = NULL;
	memset(text, 'a', 2999);
	AUTO(fault_freep) struct fault *f = template_parse(text, SAN_DNS, &t);
	assert_non_null(f);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_expansion),
		cmocka_unit_test(test_values_stay_in_their_place), cmocka_unit_test(test_missing_attribute),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_numbers_may_be_neighbours),
		cmocka_unit_test(test_variables), cmocka_unit_test(test_too_long)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
