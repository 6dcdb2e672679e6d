/* What a running server takes over, and what it refuses by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/fault.h"
#include "control/definitions.h"
#include "daemon/config.h"

static const char running[] =
	"listen:\n  - unix: {path: /x}\n  - tcp: {address: \"127.0.0.1:1\", certificate: {profile: p}, "
	"client_ca: [builtin]}\nprofiles: {p: {dns: [a.example]}}\n";
#define UNIX "listen:\n  - unix: {path: /x}\n"
#define TCP "  - tcp: {address: \"127.0.0.1:1\", certificate: {profile: p}, client_ca: [builtin]}\n"
#define REST "profiles: {p: {dns: [a.example]}}\n"

static struct config *load(const char *text)
{
	struct config *c = NULL;
	struct fault *f = config_load_text("x.yaml", text, strlen(text), &c, NULL);
	if (f)
		fail_msg("%s", fault_text(f));
	return c;
}

static void assert_reload(const char *next_text, const char *expected)
{
	AUTO(config_freep) struct config *old = load(running);
	AUTO(config_freep) struct config *next = load(next_text);
	AUTO(config_errors_freep) struct config_errors *e = NULL;
	definitions_free(config_take_definitions(old)); /* as in the server */
	AUTO(fault_freep) struct fault *f = config_check_reload(old, next, &e);
	struct buf text = BUF_INIT;
	config_errors_text(e, &text);
	assert_string_equal(buf_text(&text), expected);
	assert_int_equal(f != NULL, *expected != 0);
	if (f)
		assert_int_equal(fault_code(f), FAULT_INVALID);
	buf_free(&text);
}

static void test_taken_over(void **state)
{
	(void)state;
	assert_reload(running, "");
	assert_reload(UNIX TCP REST "log: {level: debug, format: json}\ndrain: {grace: 1s}\n", "");
	assert_reload(UNIX TCP "profiles: {p: {authority: b, dns: [b.example], lifetime: 1m}}\n"
			       "authorities: {builtin: {type: builtin}, b: {type: builtin}}\n"
			       "secrets: {a: {bundle: [b]}}\n"
			       "policy: [{who: {uid: 1}, may: [a]}]\n",
		"");
	/* Its certificate is a secret like others: it is renewed in place. */
	assert_reload(UNIX
		"  - tcp: {address: \"127.0.0.1:1\", certificate: {profile: p, dns: [b.example]}, client_ca: "
		"[builtin]}\n" REST,
		"");
}

static void test_refused(void **state)
{
	(void)state;
	assert_reload(UNIX TCP REST "workers: 4\n",
		"x.yaml: workers cannot change from 1 to 4 while the server runs; restart it\n");
	assert_reload(UNIX TCP REST "state: {path: /y}\n",
		"x.yaml: state.path cannot change from \"/state\" to \"/y\" while the server runs; restart it\n");
	assert_reload(UNIX TCP REST
		"state: {seal: {file: /k}}\nadmin: {path: /a}\nlimits: {names_per_stream: 5, fetch_wait: 1s}\n",
		"x.yaml: state.seal.file cannot change from the default to \"/k\" while the server runs; restart it\n"
		"x.yaml: admin.path cannot change from \"/run/x/admin.sock\" to \"/a\" while the server runs; restart "
		"it\n"
		"x.yaml: limits.names_per_stream cannot change from 10000 to 5 while the server runs; restart it\n"
		"x.yaml: limits.fetch_wait cannot change from 10s to 1s while the server runs; restart it\n");
}

static void test_listeners(void **state)
{
	(void)state;
	static const char former[] =
		"x.yaml:2:5: listen[0] (unix \"/x\") cannot change while the server runs; restart it\n";
	assert_reload("listen:\n  - unix: {path: /y}\n" TCP REST, former);
	assert_reload("listen:\n  - unix: {path: /x, mode: \"0600\"}\n" TCP REST, former);
	assert_reload("listen:\n  - unix: {path: /x, group: 5}\n" TCP REST, former);
	assert_reload("listen:\n  - telemetry: {address: \"127.0.0.1:2\"}\n" TCP REST, former);
	assert_reload(
		UNIX REST, "x.yaml: listen cannot change from 2 to 1 listeners while the server runs; restart it\n");
	assert_reload(UNIX "  - tcp: {address: \"127.0.0.1:1\", certificate: {profile: p}, client_ca: [b]}\n"
			   "profiles: {p: {authority: b, dns: [a.example]}}\n"
			   "authorities: {builtin: {type: builtin}, b: {type: builtin}}\n",
		"x.yaml:3:5: listen[1] (tcp \"127.0.0.1:1\") cannot change while the server runs; restart it\n");
}

int main(void)
{
	assert_int_equal(setenv("STATE_DIRECTORY", "/state", 1), 0);
	assert_int_equal(setenv("RUNTIME_DIRECTORY", "/run/x", 1), 0);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken_over), cmocka_unit_test(test_refused), cmocka_unit_test(test_listeners)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
