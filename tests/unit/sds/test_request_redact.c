/* What is kept of a client's error text. The dumps are Envoy 1.40's own, for a key made for the purpose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "sds/request.h"

#define KEY                                                                                                            \
	"-----BEGIN PRIVATE KEY-----\\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg5WWze2fBqPfa2LFO\\nC5W3Ib+"     \
	"puWodUBSbUC91M2U8g7uhRANCAATksHrbuK0uKBYjQwCv19Qvg2fkTNbs\\nfG3wTKzFTzMHqf9kOStHEfLiNgWf6yePwyb8Z6f4fDzZoc7z" \
	"PkQSs4+i\\n-----END PRIVATE KEY-----\\n"
#define CERTIFICATE                                                                                                    \
	"-----BEGIN "                                                                                                  \
	"CERTIFICATE-----\\nMIIBbjCCARWgAwIBAgICEAgwCgYIKoZIzj0EAwIwEjEQMA4GA1UEAwwHVGVzdCBD\\nQTAeFw0yNjEx"           \
	"dyCA==\\n-----END CERTIFICATE-----\\n"
#define DUMP                                                                                                           \
	"goo.gle/debugstr    \nname: \"server_cert\"\ntls_certificate {\n  certificate_chain {\n    inline_bytes: "    \
	"\"" CERTIFICATE "\"\n  }\n  private_key {\n    inline_bytes: \"" KEY "\"\n  }\n  password {\n  }\n}\n"
#define REASON                                                                                                         \
	": Proto constraint validation failed (SecretValidationError.TlsCertificate: embedded message failed "         \
	"validation "                                                                                                  \
	"| caused by TlsCertificateValidationError.Password: embedded message failed validation | caused by field: "   \
	"\"specifier\", reason: is required)"

static char *redact(const char *text)
{
	return request_redact((struct view){text, strlen(text)});
}

struct row {
	const char *text, *expected;
};

static void check(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		AUTO(mem_freep) char *got = redact(rows[i].text);
		assert_string_equal(got, rows[i].expected);
	}
}

/* No piece of 8 characters of the key's base64 is left. */
static void assert_no_key(const char *text)
{
	static const char key[] = KEY;
	for (const char *at = strstr(key, "MIGH"), *end = strstr(key, "-----END"); at + 8 <= end; at++) {
		AUTO(mem_freep) char *piece = mem_strndup(at, 8);
		if (strstr(text, piece))
			fail_msg("%s in %s", piece, text);
	}
}

static void test_envoys_dumps(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{DUMP REASON, "[cut]" REASON},
		{DUMP, "[cut]"},
		{"goo.gle/debugproto  \nname: \"server_cert\"\ntls_certificate {\n  private_key {\n    inline_bytes: "
		 "\"-----BEGIN PRIVATE KEY-----\\nMIGHAg...(truncated)",
			"[cut]"},
		{"Unable to unpack as envoy.extensions.transport_sockets.tls.v3.Secret: goo.gle/debugproto  "
		 "\ntype_url: "
		 "\"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret\"\nvalue: "
		 "\"\\n\\013server_cert\\022\\253\\006\\n\\261\\004\\022\\256\\004" CERTIFICATE "\\022\\364\\001" KEY
		 "\\017\"",
			"Unable to unpack as envoy.extensions.transport_sockets.tls.v3.Secret: [cut]"},
		/* older Envoys put the reason first */
		{"Proto constraint validation failed (SecretValidationError.TlsCertificate: embedded message failed "
		 "validation): name: \"server_cert\"\ntls_certificate {\n  private_key {\n    inline_string: \"" KEY
		 "\"",
			"Proto constraint validation failed (SecretValidationError.TlsCertificate: embedded message "
			"failed "
			"validation): [cut]"},
	};
	check(rows, ARRAY_LEN(rows));
}

static void test_reasons_are_kept(void **state)
{
	(void)state;
	static const char *const reasons[] = {
		"Failed to load private key from <inline>, Cause: error:0b000074:X.509 certificate "
		"routines:OPENSSL_internal:KEY_VALUES_MISMATCH",
		"Failed to load certificate chain from <inline>",
		"Failed to load incomplete private key from path: ",
		"Protobuf message (type envoy.extensions.transport_sockets.tls.v3.Secret(root) with unknown field set "
		"{1007}) "
		"has unknown fields",
		"Unexpected SDS secret (expecting server_cert): other",
		"Unexpected SDS secrets length: 2",
		"duplicate name server_cert found among added/updated resources",
		"lds: listener 'b' config rejected: Failed to load private key",
		"DataSource cannot be empty",
		"Incorrect TLS session ticket key length. Length 79, expected length 80.",
		"certificate_chain and pkcs12: can't have both pkcs12 and certificate_chain",
		"Proto constraint validation failed (field: \"trusted_ca\", reason: value length must be at least 1)",
		"SAN-based verification of peer certificates without trusted CA is insecure and not allowed",
		"CertificateValidationContextValidationError.CustomValidatorConfig: embedded message failed validation",
		"Failed to load CRL from /etc/envoy/tls/ca-certificates/revoked-2026.crl",
		"spiffe://cluster.example/ns/payments/sa/front-end is not kubernetes://payments/front-end-cert",
		"3f1f2d9e-5f0a-4c3b-9a57-0d2f6b1f9e11 is no good",
		"größer als erlaubt",
		"",
	};
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		AUTO(mem_freep) char *got = redact(reasons[i]);
		assert_string_equal(got, reasons[i]);
	}
}

static void test_material_is_cut(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"bad key -----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIB\n-----END EC PRIVATE KEY-----",
			"bad key -----[cut]"},
		{"---BEGIN X", "---[cut]"},
		{"at MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg5WWze2fBqPfa2LFO here", "at [cut] here"},
		/* lines of a block without its first one; the last is short */
		{"x\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg5WWze2fBqPfa2LFO\r\nPkQSs4+i\nQg==\nend. and",
			"x\\n[cut]. and"},
		{"hmac 0123456789abcdef0123456789abcdef", "hmac [cut]"},
		{"totp JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "totp [cut]"},
		{"k9+/Hx2fQm1+Zr8sT0vWbA==", "[cut]"},
		{"Zm9vYmFyYmF6cXV4MTIz", "[cut]"},
		{"aB3/aB3-aB3_aB3/aB3-aB3_", "[cut]"},
		{"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", "[cut]"},
		{"{\"keys\": [1, 2]}", "{\"[cut]"},
		{"tok_live_Zm9vYmFyYmF6cXV4", "[cut]"},
		{"d: 30:82:01:0a:02:82:01:01:00 left", "d: [cut] left"},
		{"{\"tlsCertificate\": {\"privateKey\": {\"inlineString\": \"hunter2\"}}}", "{\"[cut]"},
		{"{\"name\":\"a\"}", "{\"[cut]"},
		{"password: hunter2", "[cut]"},
		{"password=hunter2", "[cut]"},
		{"the token : hunter2", "the [cut]"},
		{"generic_secret{secret{inline_string:'hunter2'}}", "[cut]"},
		{"keys { inline_bytes: \"\\000\" }", "[cut]"},
		{"secret=\"hunter2\"", "[cut]"},
		{"anything = 'hunter2'", "[cut]"},
		{"Authorization Bearer hunter2", "Authorization [cut]"},
		{"raw \\213\\004\\001", "raw [cut]"},
		{"raw \x30\x82\x01\x0a key", "raw 0[cut]"},
		{"raw \x1f key", "raw [cut]"},
		{"cut by Envoy amid a character \xc3...(truncated)", "cut by Envoy amid a character [cut]"},
	};
	check(rows, ARRAY_LEN(rows));
	static const char with_nul[] = "before\0after";
	AUTO(mem_freep) char *got = request_redact((struct view){with_nul, sizeof with_nul - 1});
	assert_string_equal(got, "before[cut]");
}

static void test_a_reason_cannot_carry_a_dump(void **state)
{
	(void)state;
	AUTO(mem_freep)
	char *got = redact("x {\n: Proto constraint validation failed (\n: Proto constraint validation failed ("
			   "y: \"" KEY "\"");
	assert_string_equal(got, "[cut]: Proto constraint validation failed ([cut]");
	AUTO(mem_freep) char *twice = redact(DUMP REASON DUMP);
	assert_no_key(twice);
}

static void test_escaped_and_bounded(void **state)
{
	(void)state;
	struct buf text = BUF_INIT;
	static const struct row rows[] = {{"line\nline\ttab", "line\\nline\\ttab"}, {"\xe2\x80\xae"
										     "evil",
											    "\\u202eevil"}};
	check(rows, ARRAY_LEN(rows));
	while (text.len < 100000)
		buf_add_text(&text, "no good \xc3\xbc\n");
	AUTO(mem_freep) char *got = redact(buf_text(&text));
	assert_in_range(strlen(got), 500, 512);
	assert_string_equal(got + strlen(got) - 3, "...");
	assert_true(text_is_utf8(got, strlen(got)));
	buf_truncate(&text, 0);
	while (text.len < 508)
		buf_add_text(&text, " ok");
	buf_add_text(&text, DUMP REASON);
	AUTO(mem_freep) char *full = redact(buf_text(&text));
	assert_in_range(strlen(full), 500, 512);
	buf_free(&text);
}

/* Each shape below makes a careless scanner quadratic. */
static void test_big_texts_take_linear_time(void **state)
{
	(void)state;
	static const char *const shapes[] = {"a-", "a", " ", "a ", "-----BEGIN", "00:", "\n",
		"\n: Proto constraint validation failed (", "A1b/\n", "\\", "a\n", "\xc3\xbc"};
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		struct buf text = BUF_INIT;
		while (text.len < (4u << 20))
			buf_add_text(&text, shapes[i]);
		AUTO(mem_freep) char *got = redact(buf_text(&text));
		assert_in_range(strlen(got), 1, 512);
		buf_free(&text);
	}
}

/* Wherever a dump begins, before the block of the key, and wherever it ends: nothing of the key is kept. */
static void test_every_cut_of_a_dump(void **state)
{
	(void)state;
	static const char dump[] = DUMP REASON;
	for (const char *from = dump; from <= strstr(dump, "BEGIN PRIVATE"); from++) {
		for (const char *to = from; to < dump + sizeof dump; to += 17) {
			AUTO(mem_freep) char *got = request_redact((struct view){from, (size_t)(to - from)});
			assert_no_key(got);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_envoys_dumps),
		cmocka_unit_test(test_reasons_are_kept),
		cmocka_unit_test(test_material_is_cut),
		cmocka_unit_test(test_a_reason_cannot_carry_a_dump),
		cmocka_unit_test(test_escaped_and_bounded),
		cmocka_unit_test(test_big_texts_take_linear_time),
		cmocka_unit_test(test_every_cut_of_a_dump),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
