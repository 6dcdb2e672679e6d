/* Keys and one-time tokens for step-ca: the key of RFC 7515, A.3. */
#include "ca-client/step_token.h"
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "certs.h"

#define X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define D "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"
#define JWK(more) "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\",\"y\":\"" Y "\",\"d\":\"" D "\"" more "}"
#define THUMBPRINT "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"

static struct step_signer *signer(const char *text, const char *kid)
{
	struct step_signer *s = NULL;
	expect_ok(step_signer_new(text, strlen(text), NULL, kid, NULL, &s));
	return s;
}

static void refuses(const char *text, const char *words)
{
	struct step_signer *s = NULL;
	expect_fault(step_signer_new(text, strlen(text), NULL, NULL, NULL, &s), FAULT_INVALID, words);
	assert_null(s);
}

static void whose_kid(void **state)
{
	(void)state;
	struct step_signer *s = signer(JWK(",\"kid\":\"mine\""), NULL);
	assert_string_equal(step_signer_kid(s), "mine");
	step_signer_free(s);
	s = signer(JWK(",\"kid\":\"mine\""), "yours");
	assert_string_equal(step_signer_kid(s), "yours");
	step_signer_free(s);
	s = signer(JWK(""), NULL);
	assert_string_equal(step_signer_kid(s), THUMBPRINT);
	assert_true(step_signer_ends_ms(s) == INT64_MAX);
	step_signer_free(s);
}

static void what_is_no_key(void **state)
{
	(void)state;
	refuses("", "");
	refuses("x", "");
	refuses("{", "neither a JWK nor PEM");
	refuses("{}", "no JWK of kty EC");
	refuses("{\"protected\":\"x\",\"ciphertext\":\"y\"}", "is encrypted");
	refuses("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\",\"y\":\"" Y "\"}", "public JWK");
	refuses("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X "\",\"d\":\"" D "\"}", "no JWK of kty EC");
	refuses("{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" X "\",\"y\":\"" Y "\",\"d\":\"" D "\"}", "48 bytes");
	refuses("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" Y "\",\"y\":\"" X "\",\"d\":\"" D "\"}", "not one key");
	refuses("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\",\"y\":\"" Y "\",\"d\":\"" X "\"}", "not one key");
	refuses("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"+/\",\"y\":\"" Y "\",\"d\":\"" D "\"}", "base64url");
}

static char *part(const char *token, int which)
{
	for (; which; which--)
		token = strchr(token, '.') + 1;
	char *text = mem_strndup(token, strcspn(token, ".")), *at;
	for (at = text; *at; at++)
		*at = *at == '-' ? '+' : *at == '_' ? '/' : *at;
	size_t len = strlen(text), all = (len + 3) / 4 * 4;
	text = mem_realloc(text, all + 1);
	memset(text + len, '=', all - len);
	text[all] = 0;
	char *bytes = mem_calloc(1, all);
	assert_true(EVP_DecodeBlock((unsigned char *)bytes, (unsigned char *)text, (int)all) >= 0);
	free(text);
	return bytes;
}

static void a_token(void **state)
{
	(void)state;
	struct step_signer *s = signer(JWK(",\"kid\":\"mine\""), NULL);
	struct buf first = BUF_SECRET_INIT, second = BUF_SECRET_INIT;
	const struct step_claims c = {
		.issuer = "mesh", .audience = "https://ca/1.0/sign", .subject = "a.example", .now_s = 1000};
	expect_ok(step_token(s, &c, &first));
	expect_ok(step_token(s, &c, &second));
	assert_string_not_equal(buf_text(&first), buf_text(&second)); /* each holds once */
	AUTO(mem_freep) char *head = part(buf_text(&first), 0);
	AUTO(mem_freep) char *claims = part(buf_text(&first), 1);
	assert_string_equal(head, "{\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"mine\"}");
	assert_non_null(
		strstr(claims, "\"iss\":\"mesh\",\"aud\":\"https://ca/1.0/sign\",\"sub\":\"a.example\",\"sans\":[],"
			       "\"nbf\":1000,\"iat\":1000,\"exp\":1300,\"jti\":\""));
	const char *dot = strrchr(buf_text(&first), '.');
	assert_int_equal(strlen(dot + 1), 86); /* 64 bytes: r and s */
	buf_free(&first);
	buf_free(&second);
	step_signer_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whose_kid), cmocka_unit_test(what_is_no_key), cmocka_unit_test(a_token)};
	return cmocka_run_group_tests(tests, NULL, certs_free);
}
