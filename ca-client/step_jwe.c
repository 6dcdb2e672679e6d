#include "ca-client/step_jwe.h"
#include <jansson.h>
#include <openssl/evp.h>
#include <string.h>
#include "base/base64url.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"

/* RFC 7518: a salt of 8 bytes and more, 4.8.1.1; an IV of 96 bits and a tag of 128, 5.3. */
enum { PARTS = 5, SALT_MIN = 8, SALT_MAX = 256, IV_LEN = 12, TAG_LEN = 16, KEY_MAX = 32, WRAP_MORE = 8 };
enum { WRAPPING_KEY_LEN = 16, ROUNDS_MIN = 1000 };
#define WRAPPING_ALG "PBES2-HS256+A128KW"

static const char *const part_names[PARTS] = {"protected", "encrypted_key", "iv", "ciphertext", "tag"};

static const struct encryption {
	const char *enc;
	size_t key_len;
	const EVP_CIPHER *(*cipher)(void);
} encryptions[] = {{"A128GCM", 16, EVP_aes_128_gcm}, {"A256GCM", 32, EVP_aes_256_gcm}};

/* A part as it is written, borrowed from the text or its JSON. */
struct piece {
	const char *text;
	size_t len;
};
struct jwe {
	json_t *json; /* NULL: compact */
	struct piece pieces[PARTS];
	json_t *header;
	const struct encryption *enc;
	struct buf key, iv, sealed, tag, salt; /* key: wrapped */
	int rounds;
};

/* --- its form --- */

static bool is_compact(const char *text, size_t len)
{
	size_t dots = 0;
	for (size_t i = 0; i < len; i++)
		dots += text[i] == '.';
	return len > 2 && strncmp(text, "eyJ", 3) == 0 && dots == PARTS - 1; /* eyJ: {" */
}

static void trim(const char **text, size_t *len)
{
	while (*len && strchr(" \t\r\n", **text)) {
		(*text)++;
		(*len)--;
	}
	while (*len && strchr(" \t\r\n", (*text)[*len - 1]))
		(*len)--;
}

static json_t *load(const char *text, size_t len)
{
	json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(o)) {
		json_decref(o);
		return NULL;
	}
	return o;
}

bool step_jwe_is(const char *text, size_t len)
{
	trim(&text, &len);
	if (!len || *text != '{')
		return is_compact(text, len);
	json_t *o = load(text, len);
	bool is = json_object_get(o, "ciphertext") != NULL;
	json_decref(o);
	return is;
}

static struct fault *split(struct jwe *j, const char *text, size_t len)
{
	trim(&text, &len);
	if (is_compact(text, len)) {
		for (size_t i = 0; i < PARTS; i++) {
			const char *dot = memchr(text, '.', len);
			size_t n = dot ? (size_t)(dot - text) : len;
			j->pieces[i] = (struct piece){text, n};
			text += dot ? n + 1 : n;
			len -= dot ? n + 1 : n;
		}
		return NULL;
	}
	j->json = load(text, len);
	if (!j->json)
		return fault_new(FAULT_INVALID, "it is no JWE");
	for (size_t i = 0; i < PARTS; i++) {
		const json_t *part = json_object_get(j->json, part_names[i]);
		if (!json_is_string(part))
			return fault_new(
				FAULT_INVALID, "it is encrypted (JWE), but it has no text for %s", part_names[i]);
		j->pieces[i] = (struct piece){json_string_value(part), json_string_length(part)};
	}
	return json_object_get(j->json, "aad")
		       ? fault_new(FAULT_INVALID, "it is a JWE with aad, which step never writes")
		       : NULL;
}

/* --- what it says of itself --- */

static struct fault *read_header(struct jwe *j)
{
	struct buf text = BUF_INIT;
	if (base64url_read(&text, j->pieces[0].text, j->pieces[0].len))
		j->header = load(buf_text(&text), text.len);
	buf_free(&text);
	if (!j->header)
		return fault_new(FAULT_INVALID, "it is encrypted (JWE), and its protected header is no JSON object");
	const char *alg = json_string_value(json_object_get(j->header, "alg")),
		   *enc = json_string_value(json_object_get(j->header, "enc"));
	for (size_t i = 0; enc && i < ARRAY_LEN(encryptions); i++)
		if (strcmp(enc, encryptions[i].enc) == 0)
			j->enc = &encryptions[i];
	if (!alg || strcmp(alg, WRAPPING_ALG) != 0 || !j->enc || json_object_get(j->header, "zip") ||
		json_object_get(j->header, "crit"))
		return fault_new(FAULT_INVALID,
			"it is encrypted (JWE) otherwise than by a password as `step` does: alg " WRAPPING_ALG
			" with enc A128GCM or A256GCM is what leafcast opens; `step crypto jwe decrypt` opens others");
	return NULL;
}

static struct fault *read_cost(struct jwe *j)
{
	const json_t *rounds = json_object_get(j->header, "p2c"), *salt = json_object_get(j->header, "p2s");
	json_int_t n = json_integer_value(rounds);
	if (n < ROUNDS_MIN || n > STEP_JWE_ROUNDS_MAX)
		return fault_new(FAULT_INVALID,
			"it asks for %lld rounds of key derivation (p2c); from %d to %d are taken", (long long)n,
			ROUNDS_MIN, STEP_JWE_ROUNDS_MAX);
	j->rounds = (int)n;
	/* 4.8.1.1: the name of the algorithm, a zero byte, then the salt */
	buf_add(&j->salt, WRAPPING_ALG, sizeof WRAPPING_ALG);
	if (!json_is_string(salt) || json_string_length(salt) > 2 * SALT_MAX ||
		!base64url_read(&j->salt, json_string_value(salt), json_string_length(salt)) ||
		j->salt.len < sizeof WRAPPING_ALG + SALT_MIN)
		return fault_new(
			FAULT_INVALID, "its salt (p2s) is not %d to %d bytes in base64url", SALT_MIN, SALT_MAX);
	return NULL;
}

static struct fault *read_parts(struct jwe *j)
{
	struct buf *const into[PARTS] = {NULL, &j->key, &j->iv, &j->sealed, &j->tag};
	for (size_t i = 1; i < PARTS; i++)
		if (!base64url_read(into[i], j->pieces[i].text, j->pieces[i].len))
			return fault_new(FAULT_INVALID, "its %s is no base64url", part_names[i]);
	if (j->key.len != j->enc->key_len + WRAP_MORE || j->iv.len != IV_LEN || j->tag.len != TAG_LEN || !j->sealed.len)
		return fault_new(FAULT_INVALID,
			"it is encrypted (JWE), and its encrypted_key, iv, ciphertext or tag has another length than "
			"enc asks for");
	return NULL;
}

/* --- opening --- */

static void derive(const struct jwe *j, const char *password, unsigned char *ret)
{
	invariant(PKCS5_PBKDF2_HMAC(password, (int)strlen(password), j->salt.data, (int)j->salt.len, j->rounds,
			  EVP_sha256(), WRAPPING_KEY_LEN, ret) == 1);
}

/* RFC 3394 has a check of its own: a wrong password ends here. */
static bool unwrap(const struct jwe *j, const unsigned char *wrapping_key, unsigned char *ret)
{
	unsigned char out[KEY_MAX + WRAP_MORE];
	int len = 0, more = 0;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	invariant(ctx);
	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	bool well = EVP_DecryptInit_ex(ctx, EVP_aes_128_wrap(), NULL, wrapping_key, NULL) == 1 &&
		    EVP_DecryptUpdate(ctx, out, &len, j->key.data, (int)j->key.len) == 1 &&
		    EVP_DecryptFinal_ex(ctx, out + len, &more) == 1 && (size_t)(len + more) == j->enc->key_len;
	if (well)
		memcpy(ret, out, j->enc->key_len);
	EVP_CIPHER_CTX_free(ctx);
	OPENSSL_cleanse(out, sizeof out);
	return well;
}

/* The protected header, as it is written, is authenticated too. ret grows by what was sealed, or not at all. */
static bool decrypt(const struct jwe *j, const unsigned char *key, struct buf *ret)
{
	size_t start = ret->len;
	int len = 0, more = 0;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	invariant(ctx);
	unsigned char *out = buf_extend(ret, j->sealed.len);
	bool well = EVP_DecryptInit_ex(ctx, j->enc->cipher(), NULL, key, j->iv.data) == 1 &&
		    EVP_DecryptUpdate(
			    ctx, NULL, &len, (const unsigned char *)j->pieces[0].text, (int)j->pieces[0].len) == 1 &&
		    EVP_DecryptUpdate(ctx, out, &len, j->sealed.data, (int)j->sealed.len) == 1 &&
		    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, j->tag.data) == 1 &&
		    EVP_DecryptFinal_ex(ctx, out + len, &more) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (!well)
		buf_truncate(ret, start);
	return well;
}

static struct fault *open_with(const struct jwe *j, const char *password, struct buf *ret)
{
	unsigned char wrapping_key[WRAPPING_KEY_LEN], key[KEY_MAX];
	struct fault *f = NULL;
	derive(j, password, wrapping_key);
	if (!unwrap(j, wrapping_key, key))
		f = fault_openssl(FAULT_INVALID, "it is encrypted (JWE), and the password does not open it");
	else if (!decrypt(j, key, ret))
		f = fault_openssl(FAULT_INVALID, "it is encrypted (JWE), and was changed since");
	OPENSSL_cleanse(wrapping_key, sizeof wrapping_key);
	OPENSSL_cleanse(key, sizeof key);
	return f;
}

static void done(struct jwe *j)
{
	json_decref(j->json);
	json_decref(j->header);
	buf_free(&j->key);
	buf_free(&j->iv);
	buf_free(&j->sealed);
	buf_free(&j->tag);
	buf_free(&j->salt);
}

struct fault *step_jwe_open(const char *text, size_t len, const char *password, struct buf *ret)
{
	struct jwe j = {.json = NULL};
	struct fault *f = split(&j, text, len);
	if (!f)
		f = read_header(&j);
	if (!f)
		f = read_cost(&j);
	if (!f)
		f = read_parts(&j);
	if (!f && !password)
		f = fault_new(
			FAULT_INVALID, "it is encrypted (JWE); key_password_file names the file with its password");
	if (!f)
		f = open_with(&j, password, ret);
	done(&j);
	return f;
}
