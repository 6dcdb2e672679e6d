/* Seals: only the same key, the same identity and the same bytes open; key files are judged strictly. */
#include "state.h"
#include "cache/seal.h"
#include "cache/seal_key.h"

static struct seal *fresh(struct buf *wrapped, struct secret **kek)
{
	unsigned char key[32];
	struct seal *s = NULL;
	memset(key, 7, sizeof key);
	assert_null(secret_new(key, sizeof key, kek));
	assert_null(seal_new(*kek, wrapped, &s));
	return s;
}

static void refuse(struct fault *f, enum fault_code code, const char *words)
{
	assert_non_null(f);
	if (fault_code(f) != code || !strstr(fault_text(f), words))
		fail_msg("%s %s", fault_code_name(fault_code(f)), fault_text(f));
	fault_free(f);
}

static void test_round_trip(void **arg)
{
	(void)arg;
	struct buf wrapped = BUF_INIT, sealed = BUF_INIT, again = BUF_INIT;
	AUTO(secret_freep) struct secret *kek = NULL, *back = NULL;
	AUTO(seal_freep) struct seal *s = fresh(&wrapped, &kek), *reopened = NULL;
	size_t len;
	assert_null(seal_encrypt(s, "id", 2, "plain", 5, &sealed));
	assert_null(seal_encrypt(s, "id", 2, "plain", 5, &again));
	assert_true(sealed.len == again.len && memcmp(sealed.data, again.data, sealed.len) != 0); /* a nonce each */
	assert_null(memmem(sealed.data, sealed.len, "plain", 5));
	assert_null(seal_open_data_key(kek, wrapped.data, wrapped.len, NULL, &reopened));
	assert_null(seal_decrypt(reopened, "id", 2, sealed.data, sealed.len, &back));
	assert_memory_equal(secret_bytes(back, &len), "plain", 5);
	assert_int_equal(len, 5);
	buf_free(&wrapped);
	buf_free(&sealed);
	buf_free(&again);
}

static void test_every_flipped_bit_is_found(void **arg)
{
	(void)arg;
	struct buf wrapped = BUF_INIT, sealed = BUF_INIT;
	AUTO(secret_freep) struct secret *kek = NULL;
	AUTO(seal_freep) struct seal *s = fresh(&wrapped, &kek);
	struct secret *untouched = NULL;
	struct seal *none = NULL;
	assert_null(seal_encrypt(s, "id", 2, "plain", 5, &sealed));
	for (size_t bit = 0; bit < 8 * sealed.len; bit++) {
		sealed.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
		refuse(seal_decrypt(s, "id", 2, sealed.data, sealed.len, &untouched), FAULT_CORRUPT, "sealed record");
		sealed.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * wrapped.len; bit++) {
		wrapped.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
		refuse(seal_open_data_key(kek, wrapped.data, wrapped.len, NULL, &none), FAULT_CORRUPT,
			"does not open this state");
		wrapped.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
	for (size_t len = 0; len < sealed.len; len++)
		refuse(seal_decrypt(s, "id", 2, sealed.data, len, &untouched), FAULT_CORRUPT, "sealed record");
	refuse(seal_decrypt(s, "ie", 2, sealed.data, sealed.len, &untouched), FAULT_CORRUPT, "sealed record");
	refuse(seal_decrypt(s, "id\0", 3, sealed.data, sealed.len, &untouched), FAULT_CORRUPT, "sealed record");
	assert_null(untouched);
	assert_null(none);
	buf_free(&wrapped);
	buf_free(&sealed);
}

static void test_a_wrapped_key_is_no_record_and_a_record_no_key(void **arg)
{
	(void)arg;
	struct buf wrapped = BUF_INIT, sealed = BUF_INIT;
	AUTO(secret_freep) struct secret *kek = NULL;
	AUTO(seal_freep) struct seal *s = fresh(&wrapped, &kek);
	unsigned char other_key[32] = {1};
	AUTO(secret_freep) struct secret *other = NULL;
	struct seal *none = NULL;
	assert_null(secret_new(other_key, sizeof other_key, &other));
	refuse(seal_open_data_key(other, wrapped.data, wrapped.len, NULL, &none), FAULT_CORRUPT,
		"does not open this state");
	assert_null(seal_encrypt(s, "id", 2, other_key, sizeof other_key, &sealed));
	refuse(seal_open_data_key(kek, sealed.data, sealed.len, NULL, &none), FAULT_CORRUPT,
		"does not open this state");
	refuse(seal_encrypt(s, "id", 2, "", 0, &sealed), FAULT_INVALID, "cannot seal 0 bytes");
	buf_free(&wrapped);
	buf_free(&sealed);
}

/* --- key files --- */

static const char HEX[] = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";

struct files {
	char folder[32];
	char path[48];
};

static int setup(void **arg)
{
	struct files *f = mem_new(struct files);
	(void)snprintf(f->folder, sizeof f->folder, "/tmp/leafcast-seal-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	(void)snprintf(f->path, sizeof f->path, "%s/seal.key", f->folder);
	*arg = f;
	return unsetenv("CREDENTIALS_DIRECTORY");
}

static int teardown(void **arg)
{
	struct files *f = *arg;
	(void)nftw(f->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return unsetenv("CREDENTIALS_DIRECTORY");
}

static void write_key(const char *path, mode_t mode, const void *bytes, size_t len)
{
	assert_null(file_write(path, mode, bytes, len));
}

static void expect_key(const char *path)
{
	bool created = true;
	size_t len;
	AUTO(secret_freep) struct secret *key = NULL;
	struct fault *f = seal_key_load(path, true, &created, &key);
	if (f)
		fail_msg("%s", fault_text(f));
	assert_false(created);
	const unsigned char *bytes = secret_bytes(key, &len);
	assert_int_equal(len, 32);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(bytes[i], i);
}

static void test_forms_of_a_key_file(void **arg)
{
	struct files *s = *arg;
	unsigned char raw[32];
	char text[80];
	for (size_t i = 0; i < sizeof raw; i++)
		raw[i] = (unsigned char)i;
	write_key(s->path, 0600, raw, sizeof raw);
	expect_key(s->path);
	write_key(s->path, 0400, HEX, 64);
	expect_key(s->path);
	(void)snprintf(text, sizeof text, "%s\n", HEX);
	write_key(s->path, 0600, text, 65);
	expect_key(s->path);
	(void)snprintf(text, sizeof text, "%s\r\n", HEX);
	write_key(s->path, 0600, text, 66);
	expect_key(s->path);
}

static void test_other_files_are_refused(void **arg)
{
	struct files *s = *arg;
	char long_text[200];
	bool created;
	struct secret *key = NULL;
	memset(long_text, 'a', sizeof long_text);
	static const struct {
		size_t len;
		const char *text, *words;
	} cases[] = {
		{0, "", "is no seal key"},
		{31, HEX, "is no seal key"},
		{63, HEX, "is no seal key"},
		{64, "g00102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F", "is no seal key"},
		{66, "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F00", "is no seal key"},
		{200, NULL, "at most 66"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		write_key(s->path, 0600, cases[i].text ? cases[i].text : long_text, cases[i].len);
		refuse(seal_key_load(s->path, true, &created, &key), FAULT_INVALID, cases[i].words);
	}
	static const mode_t modes[] = {0640, 0604, 0620, 0602, 0644, 0610};
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		write_key(s->path, modes[i], HEX, 64);
		refuse(seal_key_load(s->path, true, &created, &key), FAULT_INVALID, "is open to others");
	}
	refuse(seal_key_load(s->folder, true, &created, &key), FAULT_INVALID, "is not a regular file");
	assert_null(key);
}

static void test_creating(void **arg)
{
	struct files *s = *arg;
	bool created = false;
	AUTO(secret_freep) struct secret *key = NULL, *again = NULL;
	struct secret *none = NULL;
	struct stat st;
	refuse(seal_key_load(s->path, false, &created, &none), FAULT_NOT_FOUND, "seal.key");
	assert_int_equal(access(s->path, F_OK), -1);
	assert_null(seal_key_load(s->path, true, &created, &key));
	assert_true(created);
	assert_int_equal(stat(s->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 65);
	assert_null(seal_key_load(s->path, true, &created, &again));
	assert_false(created);
	assert_true(secret_equal(key, again));
}

static void test_a_credential_comes_first(void **arg)
{
	struct files *s = *arg;
	bool created;
	struct secret *key = NULL;
	AUTO(mem_freep) char *credentials = mem_printf("%s/credentials", s->folder);
	AUTO(mem_freep) char *credential = mem_printf("%s/seal.key", credentials);
	assert_int_equal(mkdir(credentials, 0700), 0);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", credentials, 1), 0);
	write_key(s->path, 0600, HEX, 64);
	expect_key(s->path); /* there is no such credential */
	write_key(s->path, 0600, "no key", 6);
	write_key(credential, 0440, HEX, 64); /* as systemd's ACL looks */
	expect_key(s->path);
	write_key(credential, 0444, HEX, 64);
	refuse(seal_key_load(s->path, true, &created, &key), FAULT_INVALID, "is open to others");
	write_key(credential, 0400, "no key", 6);
	refuse(seal_key_load(s->path, true, &created, &key), FAULT_INVALID, "credentials/seal.key is no seal key");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_every_flipped_bit_is_found),
		cmocka_unit_test(test_a_wrapped_key_is_no_record_and_a_record_no_key),
		cmocka_unit_test_setup_teardown(test_forms_of_a_key_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_files_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_creating, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_credential_comes_first, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
