/* Where things are by default, for root and for others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/fault.h"
#include "base/io/paths.h"
#include "base/mem.h"

static int clear(void **state)
{
	(void)state;
	static const char *const names[] = {"STATE_DIRECTORY", "RUNTIME_DIRECTORY", "XDG_STATE_HOME", "XDG_RUNTIME_DIR",
		"HOME", "CREDENTIALS_DIRECTORY"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_int_equal(unsetenv(names[i]), 0);
	return 0;
}

static void set(const char *name, const char *value)
{
	assert_int_equal(setenv(name, value, 1), 0);
}

/* expected NULL: NOT_FOUND, with advice. */
static void assert_path(struct fault *f, char *found, const char *expected, const char *advice)
{
	if (expected) {
		assert_null(f);
		assert_string_equal(found, expected);
	} else {
		assert_non_null(f);
		assert_int_equal(fault_code(f), FAULT_NOT_FOUND);
		assert_non_null(strstr(fault_text(f), advice));
		assert_null(found);
	}
	fault_free(f);
	free(found);
}

static void assert_state(const char *expected)
{
	char *found = NULL;
	struct fault *f = paths_state(&found);
	assert_path(f, found, expected, "$STATE_DIRECTORY");
}

static void assert_runtime(const char *expected)
{
	char *found = NULL;
	struct fault *f = paths_runtime_file("x.sock", &found);
	assert_path(f, found, expected, "$RUNTIME_DIRECTORY");
}

static void test_service_manager(void **state)
{
	(void)state;
	set("STATE_DIRECTORY", "/var/lib/a:/var/lib/b");
	set("RUNTIME_DIRECTORY", "/run/a");
	set("XDG_STATE_HOME", "/no");
	set("XDG_RUNTIME_DIR", "/no");
	assert_state("/var/lib/a");
	assert_runtime("/run/a/x.sock");
}

static void test_own_user(void **state)
{
	(void)state;
	bool root = geteuid() == 0;
	assert_state(root ? "/var/lib/leafcast" : NULL);
	assert_runtime(root ? "/run/leafcast/x.sock" : NULL);
	set("HOME", "/home/u");
	assert_state(root ? "/var/lib/leafcast" : "/home/u/.local/state/leafcast");
	set("XDG_STATE_HOME", "/home/u/s");
	set("XDG_RUNTIME_DIR", "/run/user/1");
	assert_state(root ? "/var/lib/leafcast" : "/home/u/s/leafcast");
	assert_runtime(root ? "/run/leafcast/x.sock" : "/run/user/1/leafcast/x.sock");
}

/* A relative path would depend on where the process was started. */
static void test_relative_is_ignored(void **state)
{
	(void)state;
	bool root = geteuid() == 0;
	set("STATE_DIRECTORY", "state");
	set("RUNTIME_DIRECTORY", "");
	set("HOME", "home");
	set("XDG_RUNTIME_DIR", "run");
	assert_state(root ? "/var/lib/leafcast" : NULL);
	assert_runtime(root ? "/run/leafcast/x.sock" : NULL);
}

static void test_credentials(void **state)
{
	(void)state;
	char *found = NULL;
	struct fault *f = paths_credential("/etc/token", &found);
	assert_path(f, found, "/etc/token", "");
	found = NULL;
	f = paths_credential("token", &found);
	assert_path(f, found, NULL, "LoadCredential=token:FILE");
	set("CREDENTIALS_DIRECTORY", "/run/credentials/leafcast.service");
	f = paths_credential("token", &found);
	assert_path(f, found, "/run/credentials/leafcast.service/token", "");
	static const char *const wrong[] = {"", "a/b", "../token", "..", "."};
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		assert_false(paths_is_credential(wrong[i]));
		f = paths_credential(wrong[i], &found);
		assert_non_null(f);
		assert_int_equal(fault_code(f), FAULT_INVALID);
		fault_free(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_setup(test_service_manager, clear),
		cmocka_unit_test_setup(test_own_user, clear), cmocka_unit_test_setup(test_relative_is_ignored, clear),
		cmocka_unit_test_setup(test_credentials, clear)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
