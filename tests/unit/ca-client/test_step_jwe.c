/* Keys under a password: what go-jose, step's own library, wrote with few rounds, and what is no such thing. */
#include "ca-client/step_jwe.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/base64url.h"
#include "base/buf.h"
#include "base/mem.h"
#include "certs.h"

#define PASSWORD "secret word"
#define PLAIN                                                                                                          \
	"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","                     \
	"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\","                                                       \
	"\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\",\"kid\":\"mine\"}"

/* Each: protected, encrypted_key, iv, ciphertext, tag. */
static const char *const of_128[] = {
	"eyJhbGciOiJQQkVTMi1IUzI1NitBMTI4S1ciLCJjdHkiOiJqd2sranNvbiIsImVuYyI6IkExMjhHQ00iLCJwMmMiOjEwMDAsInAycyI6Ink3c"
	"XAzVHVUQ1VsYzgyS1FSbFFZTWcifQ",
	"Y2hDM_WMLf0wvCA3Co4LnSvpFRBjS0Tu", "GGxziXjvhoLGIGUx",
	"R6iLx_BH8ujkzsrZj9QwkxCSnYb8SJkoTVEz4diBBMrpOGPFr1NX4dNoiwfDvkwrVG-IFXXimSWnC-2MOQ02vL2B-0_oWulonHGr87nGhJ6VfM"
	"0rmscvHUJC0Skkzz8nj-I511F9808DKS9ptR8lwUdgsxsz6-RYYwqIHzGi25QghiVuo8w9Z8csgGTMkH6sxaL53k5idCemS93jdj45Z00nigQm"
	"OMeFy-PfI74_PltxCzC1ph4aBsuBoEXb",
	"GTPlBZNwQaUkjh9uo5f2tw"};
static const char *const of_256[] = {
	"eyJhbGciOiJQQkVTMi1IUzI1NitBMTI4S1ciLCJjdHkiOiJqd2sranNvbiIsImVuYyI6IkEyNTZHQ00iLCJwMmMiOjEwMDAsInAycyI6IktQS"
	"VQ4UHVxTkpkWUVWQUx0SllCMHcifQ",
	"3VE-FSCF5KwHSd_MiGCQEnVeTTFjwRkSfrRVwyYsPbJc9OQibSX-6A", "b58GCPHE_h2amAK3",
	"3TvqwjrNFtU127AvI7ivJSjLuxysxOWiuWJRI5NsdoSGWKJA32T7vuRmIeWcI84wYyyDG2EgxKNYFE3sTRNjNUL33jbyZrTEnzg3GSjxHy0YZi"
	"Y2jWXQ9TedgkgVG2jthC4gB4gceuG9srKVzudR8vPHogt-8ZMj7twAZrQNx7qcL-ZDrCzV8fJrQ0ooexg_33MuqoArcas4oehrb7C7bhFxYJGa"
	"SuzRjWk1vt58nIK02kNyZK3ZWRPiZ0iE",
	"qkbN2NKHHW0ErQ265Lf1sA"};

static char *compact(const char *const p[5])
{
	return mem_printf("%s.%s.%s.%s.%s", p[0], p[1], p[2], p[3], p[4]);
}

static char *flattened(const char *const p[5])
{
	return mem_printf("{\"protected\":\"%s\",\"encrypted_key\":\"%s\",\"iv\":\"%s\",\"ciphertext\":\"%s\","
			  "\"tag\":\"%s\"}",
		p[0], p[1], p[2], p[3], p[4]);
}

/* Takes text over. */
static void opens(char *text)
{
	struct buf b = BUF_SECRET_INIT;
	buf_add_text(&b, "before ");
	assert_true(step_jwe_is(text, strlen(text)));
	expect_ok(step_jwe_open(text, strlen(text), PASSWORD, &b));
	assert_string_equal(buf_text(&b), "before " PLAIN);
	buf_free(&b);
	free(text);
}

static void fails(char *text, const char *password, const char *words)
{
	struct buf b = BUF_SECRET_INIT;
	expect_fault(step_jwe_open(text, strlen(text), password, &b), FAULT_INVALID, words);
	assert_int_equal(b.len, 0);
	buf_free(&b);
	free(text);
}

static void both_forms_of_both_encryptions(void **state)
{
	(void)state;
	opens(compact(of_128));
	opens(flattened(of_128));
	opens(flattened(of_256));
	AUTO(mem_freep) char *bare = compact(of_256);
	opens(mem_printf("\n %s\n", bare));
}

static void without_the_password(void **state)
{
	(void)state;
	fails(compact(of_256), NULL, "key_password_file");
	fails(compact(of_256), "secret wort", "the password does not open it");
	fails(compact(of_256), "", "the password does not open it");
}

/* One letter of each part, one after the other: never is anything given out. */
static void whatever_is_changed(void **state)
{
	(void)state;
	for (size_t i = 0; i < 5; i++) {
		const char *parts[5];
		memcpy(parts, of_256, sizeof parts);
		AUTO(mem_freep) char *changed = mem_strdup(parts[i]);
		size_t at = i ? 3 : strlen(changed) - 4; /* of the header: in the salt */
		changed[at] = changed[at] == 'B' ? 'C' : 'B';
		parts[i] = changed;
		fails(compact(parts), PASSWORD, "");
	}
	const char *moved[5];
	memcpy(moved, of_256, sizeof moved);
	moved[3] = of_128[3];
	fails(compact(moved), PASSWORD, "was changed since");
}

/* of_256 under another header. */
static void header_fails(const char *header, const char *words)
{
	struct buf text = BUF_INIT;
	const char *parts[5];
	memcpy(parts, of_256, sizeof parts);
	base64url_add(&text, header, strlen(header));
	parts[0] = buf_text(&text);
	fails(flattened(parts), PASSWORD, words);
	buf_free(&text);
}

#define ALG "\"alg\":\"PBES2-HS256+A128KW\","
#define ENC "\"enc\":\"A256GCM\","
#define SALT "\"p2s\":\"KPIT8PuqNJdYEVALtJYB0w\""

static void headers_that_are_not_taken(void **state)
{
	(void)state;
	header_fails("[]", "no JSON object");
	header_fails("{", "no JSON object");
	header_fails("{" ENC "\"p2c\":1000," SALT "}", "otherwise than by a password");
	header_fails("{\"alg\":\"dir\"," ENC "\"p2c\":1000," SALT "}", "otherwise than by a password");
	header_fails("{\"alg\":\"PBES2-HS512+A256KW\"," ENC "\"p2c\":1000," SALT "}", "otherwise than by a password");
	header_fails("{" ALG "\"enc\":\"A128CBC-HS256\",\"p2c\":1000," SALT "}", "otherwise than by a password");
	header_fails("{" ALG ENC "\"zip\":\"DEF\",\"p2c\":1000," SALT "}", "otherwise than by a password");
	header_fails("{" ALG ENC "\"crit\":[\"b64\"],\"p2c\":1000," SALT "}", "otherwise than by a password");
	header_fails("{" ALG ENC SALT "}", "0 rounds");
	header_fails("{" ALG ENC "\"p2c\":\"1000\"," SALT "}", "0 rounds");
	header_fails("{" ALG ENC "\"p2c\":999," SALT "}", "999 rounds");
	header_fails("{" ALG ENC "\"p2c\":-1," SALT "}", "-1 rounds");
	header_fails("{" ALG ENC "\"p2c\":2000001," SALT "}", "2000001 rounds");
	header_fails("{" ALG ENC "\"p2c\":9223372036854775807," SALT "}", "rounds");
	header_fails("{" ALG ENC "\"p2c\":1000}", "p2s");
	header_fails("{" ALG ENC "\"p2c\":1000,\"p2s\":\"AAAAAAAAAA\"}", "p2s"); /* 7 bytes */
	header_fails("{" ALG ENC "\"p2c\":1000,\"p2s\":\"*\"}", "p2s");
	header_fails("{" ALG ENC "\"p2c\":1000,\"p2s\":1}", "p2s");
	header_fails("{" ALG "\"enc\":\"A128GCM\",\"p2c\":1000," SALT "}", "another length");
}

static void part_fails(size_t which, const char *text, const char *words)
{
	const char *parts[5];
	memcpy(parts, of_256, sizeof parts);
	parts[which] = text;
	fails(compact(parts), PASSWORD, words);
}

static void parts_that_are_none(void **state)
{
	(void)state;
	part_fails(1, "", "another length");
	part_fails(1, "=", "its encrypted_key is no base64url");
	part_fails(2, "AAAA", "another length");
	part_fails(3, "", "another length");
	part_fails(4, "AAAA", "another length");
	fails(mem_strdup("{}"), PASSWORD, "no text for protected");
	fails(mem_strdup("{\"protected\":\"a\",\"ciphertext\":\"b\"}"), PASSWORD, "no text for encrypted_key");
	fails(mem_strdup("{\"ciphertext\":\"b\",\"ciphertext\":\"b\"}"), PASSWORD, "no JWE");
	fails(mem_strdup("eyJ.a.b.c"), PASSWORD, "no JWE");
}

static void what_looks_like_one(void **state)
{
	(void)state;
	static const char *const none[] = {"", " ", "{", "{}", "[]", "{\"kty\":\"EC\"}", "a.b.c.d.e", "eyJ.a.b.c",
		"eyJ.a.b.c.d.e", "-----BEGIN PRIVATE KEY-----"};
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		assert_false(step_jwe_is(none[i], strlen(none[i])));
	assert_true(step_jwe_is(" {\"ciphertext\":\"\"}\n", 19));
	assert_true(step_jwe_is("eyJ.a.b.c.d\n", 12));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(both_forms_of_both_encryptions),
		cmocka_unit_test(without_the_password), cmocka_unit_test(whatever_is_changed),
		cmocka_unit_test(headers_that_are_not_taken), cmocka_unit_test(parts_that_are_none),
		cmocka_unit_test(what_looks_like_one)};
	return cmocka_run_group_tests(tests, NULL, certs_free);
}
