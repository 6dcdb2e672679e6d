/* Rules: default deny, deny wins, every key of a who must hold; and what a name means for whom. */
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
#include "control/definitions.h"
#include "control/identity.h"
#include "control/policy.h"
#include "control/template.h"

static struct identity *tls(const char *uri, const char *dns, const char *authority)
{
	struct san_set sans = {NULL, 0};
	if (uri)
		assert_null(san_set_add(&sans, SAN_URI, uri));
	if (dns)
		assert_null(san_set_add(&sans, SAN_DNS, dns));
	struct identity *i = identity_new_tls(&sans, authority, INT64_MAX);
	san_set_free(&sans);
	return i;
}

static struct decision decide(struct rule_def *rules, size_t count, struct identity *i, const char *name)
{
	const struct definitions d = {.rules = rules, .rule_count = count};
	AUTO(policy_unrefp) struct policy *p = policy_new(&d, 1);
	return policy_decide(p, i, name);
}

#define NAMES(member, ...) .member = (char *[]){__VA_ARGS__}, .member##_count = ARRAY_LEN(((char *[]){__VA_ARGS__}))

static void test_default_deny(void **state)
{
	(void)state;
	AUTO(identity_unrefp) struct identity *i = identity_new_unix(0, 0, 1);
	struct decision d = decide(NULL, 0, i, "default");
	assert_false(d.allowed);
	assert_false(d.denied_by_rule);
	assert_int_equal(d.rule, -1);
}

static void test_empty_who_is_nobody(void **state)
{
	(void)state;
	struct rule_def rules[] = {{.who = 0, NAMES(may, "**")}};
	AUTO(identity_unrefp) struct identity *root = identity_new_unix(0, 0, 1);
	AUTO(identity_unrefp) struct identity *peer = tls("spiffe://td.example/x", NULL, "mesh");
	assert_false(decide(rules, 1, root, "default").allowed);
	assert_false(decide(rules, 1, peer, "default").allowed);
}

static void test_unix(void **state)
{
	(void)state;
	struct rule_def rules[] = {
		{.who = WHO_UID, .uid = 101, .line = 5, NAMES(may, "default", "web-*")},
		{.who = WHO_UID | WHO_GID, .uid = 102, .gid = 7, .line = 6, NAMES(may, "**")},
		{.who = WHO_GID, .gid = 8, .line = 7, NAMES(may, "x")},
	};
	static const struct {
		uid_t uid;
		gid_t gid;
		const char *name;
		int rule;
	} cases[] = {
		{101, 1, "default", 0},
		{101, 1, "web-1", 0},
		{101, 1, "web-1/x", -1},
		{101, 1, "Default", -1},
		{101, 8, "x", 2},
		{102, 7, "a/b", 1},
		{102, 1, "a", -1},
		{1, 7, "a", -1},
		{1, 8, "x", 2},
		{0, 0, "default", -1},
	};
	for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
		AUTO(identity_unrefp) struct identity *i = identity_new_unix(cases[k].uid, cases[k].gid, 1);
		struct decision d = decide(rules, ARRAY_LEN(rules), i, cases[k].name);
		assert_int_equal(d.rule, cases[k].rule);
		assert_int_equal(d.allowed, cases[k].rule >= 0);
		assert_int_equal(d.line, cases[k].rule >= 0 ? cases[k].rule + 5 : 0);
	}
}

static void test_unix_keys_never_match_tls(void **state)
{
	(void)state;
	struct rule_def rules[] = {{.who = WHO_UID, .uid = (uid_t)-1, NAMES(may, "**")},
		{.who = WHO_GID, .gid = (gid_t)-1, NAMES(may, "**")}, {.who = WHO_UID, .uid = 0, NAMES(may, "**")}};
	AUTO(identity_unrefp) struct identity *peer = tls("spiffe://td.example/x", "x.example", "mesh");
	assert_false(decide(rules, ARRAY_LEN(rules), peer, "default").allowed);
}

static void test_tls(void **state)
{
	(void)state;
	struct rule_def by_uri[] = {
		{.who = WHO_URI | WHO_CA, .uri = "spiffe://td.example/gw/*", .ca = "mesh", NAMES(may, "web")}};
	struct rule_def by_dns[] = {{.who = WHO_DNS, .dns = "*.GW.example", NAMES(may, "web")}};
	struct rule_def by_ca[] = {{.who = WHO_CA, .ca = "mesh", NAMES(may, "web")}};
	struct rule_def by_both[] = {
		{.who = WHO_URI | WHO_DNS, .uri = "spiffe://td.example/*", .dns = "a.gw.example", NAMES(may, "web")}};
	static const struct {
		const char *uri, *dns, *authority;
		bool uri_rule, dns_rule, ca_rule, both_rule;
	} cases[] = {
		{"spiffe://td.example/gw/a", NULL, "mesh", true, false, true, false},
		{"spiffe://td.example/gw/a", NULL, "other", false, false, false, false},
		{"spiffe://td.example/gw/a/b", NULL, "mesh", false, false, true, false},
		{"spiffe://td.example/gw/", NULL, "mesh", true, false, true, false},
		/* A DNS SAN that looks like the URI's pattern is of another type. */
		{NULL, "a.gw.example", "mesh", false, true, true, false},
		{NULL, "a.b.gw.example", "other", false, false, false, false},
		{"https://a.gw.example/", NULL, "other", false, false, false, false},
		{"spiffe://td.example/a", "a.gw.example", "other", false, true, false, true},
	};
	for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
		AUTO(identity_unrefp) struct identity *i = tls(cases[k].uri, cases[k].dns, cases[k].authority);
		assert_int_equal(decide(by_uri, 1, i, "web").allowed, cases[k].uri_rule);
		assert_int_equal(decide(by_dns, 1, i, "web").allowed, cases[k].dns_rule);
		assert_int_equal(decide(by_ca, 1, i, "web").allowed, cases[k].ca_rule);
		assert_int_equal(decide(by_both, 1, i, "web").allowed, cases[k].both_rule);
	}
	AUTO(identity_unrefp) struct identity *local = identity_new_unix(0, 0, 1);
	assert_false(decide(by_uri, 1, local, "web").allowed);
	assert_false(decide(by_dns, 1, local, "web").allowed);
	assert_false(decide(by_ca, 1, local, "web").allowed);
}

static void test_deny_wins(void **state)
{
	(void)state;
	struct rule_def rules[] = {
		{.who = WHO_UID, .uid = 1, .line = 2, NAMES(may, "**")},
		{.who = WHO_GID, .gid = 1, .line = 3, NAMES(deny, "web-admin", "x/**")},
		{.who = WHO_UID, .uid = 1, .line = 4, NAMES(may, "web-admin"), NAMES(deny, "own")},
	};
	AUTO(identity_unrefp) struct identity *both = identity_new_unix(1, 1, 1);
	AUTO(identity_unrefp) struct identity *only = identity_new_unix(1, 2, 1);
	struct decision d = decide(rules, ARRAY_LEN(rules), both, "web-admin");
	assert_false(d.allowed);
	assert_true(d.denied_by_rule);
	assert_int_equal(d.rule, 1);
	assert_int_equal(d.line, 3);
	assert_false(decide(rules, ARRAY_LEN(rules), both, "x/y/z").allowed);
	assert_true(decide(rules, ARRAY_LEN(rules), both, "web").allowed);
	assert_true(decide(rules, ARRAY_LEN(rules), only, "web-admin").allowed);
	assert_int_equal(decide(rules, ARRAY_LEN(rules), only, "web-admin").rule, 0);
	assert_true(decide(rules, ARRAY_LEN(rules), only, "own").denied_by_rule);
}

/* One profile with {uid} in its URI and {gid} in its DNS name; secrets that use and replace it. */
struct world {
	struct template *uri, *dns;
	struct template *uris[1], *names[1];
	struct profile_def profile;
	struct secret_def secrets[4];
	struct definitions d;
};

static void world_init(struct world *w)
{
	memset(w, 0, sizeof *w);
	assert_null(template_parse("spiffe://td.example/{uid}", SAN_URI, &w->uri));
	assert_null(template_parse("g{gid}.example", SAN_DNS, &w->dns));
	w->uris[0] = w->uri;
	w->names[0] = w->dns;
	w->profile = (struct profile_def){.name = "p"};
	w->profile.sans[SAN_URI] = (struct template_list){w->uris, 1};
	w->profile.sans[SAN_DNS] = (struct template_list){w->names, 1};
	w->secrets[0] = (struct secret_def){.name = "both", .kind = SECRET_TLS_CERTIFICATE, .profile = "p"};
	w->secrets[1] = (struct secret_def){.name = "uid", .kind = SECRET_TLS_CERTIFICATE, .profile = "p"};
	w->secrets[1].replaces[SAN_DNS] = true;
	w->secrets[2] = (struct secret_def){.name = "roots", .kind = SECRET_VALIDATION_CONTEXT};
	w->secrets[3] =
		(struct secret_def){.name = "listen", .kind = SECRET_TLS_CERTIFICATE, .profile = "p", .internal = true};
	w->d = (struct definitions){
		.profiles = &w->profile, .profile_count = 1, .secrets = w->secrets, .secret_count = 4};
}

static void world_done(struct world *w)
{
	template_free(w->uri);
	template_free(w->dns);
}

static void assert_entry(const struct policy *p, struct identity *i, const char *name, const char *text)
{
	AUTO(entry_key_unrefp) struct entry_key *e = NULL;
	assert_null(policy_entry(p, i, name, &e));
	assert_string_equal(entry_key_text(e), text);
	assert_string_equal(entry_key_name(e), name);
}

static void test_entries(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	AUTO(policy_unrefp) struct policy *p = policy_new(&w.d, 7);
	world_done(&w); /* the policy keeps nothing of it */
	assert_int_equal(policy_generation(p), 7);
	AUTO(identity_unrefp) struct identity *i = identity_new_unix(1000, 50, 1);
	assert_entry(p, i, "both", "both{gid=50,uid=1000}");
	assert_entry(p, i, "uid", "uid{uid=1000}");
	assert_entry(p, i, "roots", "roots");
	assert_entry(p, i, "unknown", "unknown");
	/* A listener's own certificate is nothing that a caller can name. */
	assert_entry(p, i, "listen", "listen");

	AUTO(identity_unrefp) struct identity *peer = tls("spiffe://td.example/x", NULL, "mesh");
	AUTO(entry_key_unrefp) struct entry_key *e = NULL;
	AUTO(fault_freep) struct fault *f = policy_entry(p, peer, "uid", &e);
	assert_non_null(f);
	assert_int_equal(fault_code(f), FAULT_NOT_FOUND);
	assert_null(e);
	assert_entry(p, peer, "roots", "roots");
}

static void test_variables_are_sorted(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	const char *variables[DEFINITION_VARIABLES_MAX];
	assert_int_equal(definitions_variables(&w.d, &w.secrets[0], variables), 2);
	assert_string_equal(variables[0], "gid");
	assert_string_equal(variables[1], "uid");
	assert_int_equal(definitions_variables(&w.d, &w.secrets[2], variables), 0);
	assert_ptr_equal(definitions_secret(&w.d, "uid"), &w.secrets[1]);
	assert_null(definitions_secret(&w.d, "ui"));
	assert_null(definitions_profile(&w.d, "q"));
	assert_null(definitions_authority(&w.d, "p"));
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_default_deny),
		cmocka_unit_test(test_empty_who_is_nobody), cmocka_unit_test(test_unix),
		cmocka_unit_test(test_unix_keys_never_match_tls), cmocka_unit_test(test_tls),
		cmocka_unit_test(test_deny_wins), cmocka_unit_test(test_entries),
		cmocka_unit_test(test_variables_are_sorted)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
