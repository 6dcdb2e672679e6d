#include "ca-client/step_token.h"
#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>
#include <string.h>
#include "base/base64url.h"
#include "base/fault.h"
#include "base/io/json_memory.h"
#include "base/mem.h"
#include "base/pem.h"
#include "base/san.h"
#include "base/text.h"
#include "ca-client/step_jwe.h"

enum { TOKEN_LIFE_S = 300, FIELD_MAX = 66 };

struct step_signer {
	EVP_PKEY *key;
	const char *alg;
	const EVP_MD *md;
	size_t half; /* bytes of r and of s; 0: RSA */
	char *kid;
	STACK_OF(X509) * chain; /* X5C; or NULL */
};

/* Exactly size bytes. */
static bool read_field(const char *text, unsigned char *ret, size_t size)
{
	struct buf bytes = BUF_SECRET_INIT;
	size_t len = strlen(text);
	bool fits = len <= 2 * FIELD_MAX && base64url_read(&bytes, text, len) && bytes.len == size;
	if (fits)
		memcpy(ret, bytes.data, size);
	buf_free(&bytes);
	return fits;
}

/* --- keys --- */

static const struct curve {
	const char *jwk, *group, *alg;
	size_t half;
	const EVP_MD *(*md)(void);
} curves[] = {{"P-256", "prime256v1", "ES256", 32, EVP_sha256}, {"P-384", "secp384r1", "ES384", 48, EVP_sha384}};

static struct fault *build_ec(const struct curve *c, const unsigned char *point, const unsigned char *d, EVP_PKEY **ret)
{
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	BIGNUM *secret = BN_secure_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	OSSL_PARAM *params = NULL;
	invariant(b && secret && ctx && BN_bin2bn(d, (int)c->half, secret));
	invariant(OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, c->group, 0) == 1 &&
		  OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * c->half) == 1 &&
		  OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_PRIV_KEY, secret) == 1);
	params = OSSL_PARAM_BLD_to_param(b);
	bool made = params && EVP_PKEY_fromdata_init(ctx) == 1 &&
		    EVP_PKEY_fromdata(ctx, ret, EVP_PKEY_KEYPAIR, params) == 1;
	EVP_PKEY_CTX *check = made ? EVP_PKEY_CTX_new(*ret, NULL) : NULL;
	struct fault *f = check && EVP_PKEY_pairwise_check(check) == 1
				  ? NULL
				  : fault_openssl(FAULT_INVALID, "its x, y and d are not one key");
	if (f) {
		EVP_PKEY_free(*ret);
		*ret = NULL;
	}
	EVP_PKEY_CTX_free(check);
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(b);
	BN_clear_free(secret);
	return f;
}

static struct fault *read_jwk(const json_t *o, EVP_PKEY **ret, char **ret_kid)
{
	const char *kty = json_string_value(json_object_get(o, "kty")),
		   *crv = json_string_value(json_object_get(o, "crv"));
	const char *x = json_string_value(json_object_get(o, "x")), *y = json_string_value(json_object_get(o, "y"));
	const char *d = json_string_value(json_object_get(o, "d")), *kid = json_string_value(json_object_get(o, "kid"));
	const struct curve *c = NULL;
	unsigned char point[1 + 2 * FIELD_MAX] = {4}, secret[FIELD_MAX];
	for (size_t i = 0; crv && i < ARRAY_LEN(curves); i++)
		if (strcmp(crv, curves[i].jwk) == 0)
			c = &curves[i];
	if (!kty || strcmp(kty, "EC") != 0 || !c)
		return fault_new(
			FAULT_INVALID, "it is no JWK of kty EC with crv P-256 or P-384; give other keys as PEM");
	if (!d)
		return fault_new(FAULT_INVALID, "it is a public JWK; give the private one");
	struct fault *f = NULL;
	if (!x || !y || !read_field(x, point + 1, c->half) || !read_field(y, point + 1 + c->half, c->half) ||
		!read_field(d, secret, c->half))
		f = fault_new(FAULT_INVALID, "its x, y or d is not %zu bytes in base64url", c->half);
	if (!f)
		f = build_ec(c, point, secret, ret);
	OPENSSL_cleanse(secret, sizeof secret);
	if (!f && kid)
		*ret_kid = mem_strdup(kid);
	return f;
}

static struct fault *read_plain(const void *bytes, size_t len, EVP_PKEY **ret, char **ret_kid)
{
	json_t *o = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, NULL);
	if (!o)
		return fault_new(FAULT_INVALID, "it is neither a JWK nor PEM");
	struct fault *f = read_jwk(o, ret, ret_kid);
	json_decref(o);
	return f;
}

static struct fault *read_key(const void *bytes, size_t len, const char *password, EVP_PKEY **ret, char **ret_kid)
{
	size_t skip = 0, count;
	if (step_jwe_is(bytes, len)) {
		struct buf plain = BUF_SECRET_INIT;
		struct fault *f = step_jwe_open(bytes, len, password, &plain);
		if (!f)
			f = read_plain(plain.data, plain.len, ret, ret_kid);
		buf_free(&plain);
		return f;
	}
	while (skip < len && strchr(" \t\r\n", ((const char *)bytes)[skip]))
		skip++;
	if (skip == len || ((const char *)bytes)[skip] != '{')
		return pem_read_keys(bytes, len, password, ret, 1, &count);
	return read_plain(bytes, len, ret, ret_kid);
}

static struct fault *find_algorithm(struct step_signer *s)
{
	char group[64] = "";
	if (EVP_PKEY_is_a(s->key, "RSA") && EVP_PKEY_get_bits(s->key) >= 2048) {
		s->alg = "RS256";
		s->md = EVP_sha256();
		return NULL;
	}
	if (EVP_PKEY_is_a(s->key, "EC") && EVP_PKEY_get_group_name(s->key, group, sizeof group, NULL) == 1)
		for (size_t i = 0; i < ARRAY_LEN(curves); i++)
			if (strcmp(group, curves[i].group) == 0) {
				s->alg = curves[i].alg;
				s->md = curves[i].md();
				s->half = curves[i].half;
				return NULL;
			}
	return fault_new(
		FAULT_INVALID, "its type does not sign tokens here; P-256, P-384, or RSA of 2048 bits and more do");
}

/* RFC 7638: SHA-256 over the members that make the key, in order; step's own kid. EC alone: others name theirs. */
static struct fault *thumbprint(const struct step_signer *s, char **ret)
{
	unsigned char point[1 + 2 * FIELD_MAX], hash[32];
	size_t len;
	struct buf text = BUF_INIT, kid = BUF_INIT;
	if (!s->half ||
		EVP_PKEY_get_octet_string_param(s->key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &len) != 1 ||
		len != 1 + 2 * s->half)
		return fault_new(FAULT_INVALID,
			"its key_id cannot be told from it; give key_id, as step ca provisioner list shows it");
	buf_printf(&text, "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"", s->half == 32 ? "P-256" : "P-384");
	base64url_add(&text, point + 1, s->half);
	buf_add_text(&text, "\",\"y\":\"");
	base64url_add(&text, point + 1 + s->half, s->half);
	buf_add_text(&text, "\"}");
	invariant(EVP_Digest(text.data, text.len, hash, NULL, EVP_sha256(), NULL) == 1);
	base64url_add(&kid, hash, sizeof hash);
	buf_free(&text);
	*ret = buf_take_text(&kid);
	return NULL;
}

static struct fault *take_chain(struct step_signer *s, STACK_OF(X509) * chain)
{
	if (X509_check_private_key(sk_X509_value(chain, 0), s->key) != 1)
		return fault_openssl(FAULT_INVALID, "it does not belong to the certificate");
	s->chain = X509_chain_up_ref(chain);
	invariant(s->chain);
	return NULL;
}

struct fault *step_signer_new(const void *bytes, size_t len, const char *password, const char *kid,
	STACK_OF(X509) * chain, struct step_signer **ret)
{
	struct step_signer *s = mem_new(struct step_signer);
	struct fault *f = read_key(bytes, len, password, &s->key, &s->kid);
	if (!f)
		f = find_algorithm(s);
	if (!f && chain)
		f = take_chain(s, chain);
	if (!f && kid) {
		free(s->kid);
		s->kid = mem_strdup(kid);
	}
	if (!f && !chain && !s->kid)
		f = thumbprint(s, &s->kid);
	if (f)
		step_signer_free(s);
	else
		*ret = s;
	return f;
}

void step_signer_free(struct step_signer *s)
{
	if (!s)
		return;
	EVP_PKEY_free(s->key);
	sk_X509_pop_free(s->chain, X509_free);
	free(s->kid);
	free(s);
}

const char *step_signer_kid(const struct step_signer *s)
{
	return s->kid ? s->kid : "";
}

int64_t step_signer_ends_ms(const struct step_signer *s)
{
	struct tm tm;
	if (!s->chain || ASN1_TIME_to_tm(X509_get0_notAfter(sk_X509_value(s->chain, 0)), &tm) != 1)
		return INT64_MAX;
	return (int64_t)timegm(&tm) * 1000;
}

/* --- tokens --- */

static void add_json(struct buf *b, json_t *o)
{
	char *text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	invariant(text);
	base64url_add(b, text, strlen(text));
	json_memory_free_text(text);
}

static json_t *header_of(const struct step_signer *s)
{
	json_t *o = json_pack("{s:s, s:s}", "alg", s->alg, "typ", "JWT");
	if (!s->chain) {
		(void)json_object_set_new(o, "kid", json_string(s->kid));
		return o;
	}
	json_t *list = json_array();
	for (int i = 0; i < sk_X509_num(s->chain); i++) {
		unsigned char *der = NULL;
		int len = i2d_X509(sk_X509_value(s->chain, i), &der);
		invariant(len > 0);
		char *text = mem_calloc(1, 4 * ((size_t)len + 2) / 3 + 4);
		(void)EVP_EncodeBlock((unsigned char *)text, der, len);
		(void)json_array_append_new(list, json_string(text));
		free(text);
		OPENSSL_free(der);
	}
	(void)json_object_set_new(o, "x5c", list);
	return o;
}

static json_t *claims_of(const struct step_claims *c)
{
	unsigned char random[32];
	char jti[2 * sizeof random + 1];
	json_t *sans = json_array();
	invariant(RAND_bytes(random, sizeof random) == 1);
	text_hex(random, sizeof random, jti);
	for (size_t i = 0; c->sans && i < c->sans->count; i++)
		(void)json_array_append_new(sans, json_string(c->sans->items[i].value));
	return json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:s}", "iss", c->issuer, "aud", c->audience, "sub",
		c->subject, "sans", sans, "nbf", (json_int_t)c->now_s, "iat", (json_int_t)c->now_s, "exp",
		(json_int_t)(c->now_s + TOKEN_LIFE_S), "jti", jti);
}

static void bind_csr(json_t *claims, X509_REQ *csr)
{
	unsigned char *der = NULL, hash[32];
	int len = i2d_X509_REQ(csr, &der);
	struct buf text = BUF_INIT;
	invariant(len > 0 && EVP_Digest(der, (size_t)len, hash, NULL, EVP_sha256(), NULL) == 1);
	base64url_add(&text, hash, sizeof hash);
	(void)json_object_set_new(claims, "cnf", json_pack("{s:s}", "x5rt#S256", buf_text(&text)));
	buf_free(&text);
	OPENSSL_free(der);
}

/* DER as OpenSSL gives it, to r and s side by side as JWS has it. */
static void to_raw(const struct step_signer *s, unsigned char *sig, size_t *len)
{
	const unsigned char *at = sig;
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)*len);
	invariant(pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), sig, (int)s->half) > 0 &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(pair), sig + s->half, (int)s->half) > 0);
	ECDSA_SIG_free(pair);
	*len = 2 * s->half;
}

static struct fault *sign(const struct step_signer *s, struct buf *b)
{
	unsigned char sig[1024];
	size_t len = sizeof sig;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	invariant(ctx);
	bool done = EVP_DigestSignInit(ctx, NULL, s->md, NULL, s->key) == 1 &&
		    EVP_DigestSign(ctx, sig, &len, b->data, b->len) == 1;
	EVP_MD_CTX_free(ctx);
	if (!done)
		return fault_openssl(FAULT_INTERNAL, "a token cannot be signed");
	if (s->half)
		to_raw(s, sig, &len);
	buf_add_text(b, ".");
	base64url_add(b, sig, len);
	return NULL;
}

struct fault *step_token(const struct step_signer *s, const struct step_claims *c, struct buf *ret)
{
	json_t *claims = claims_of(c);
	if (!claims)
		return fault_new(FAULT_INVALID, "a name in the token is not UTF-8");
	if (c->csr)
		bind_csr(claims, c->csr);
	add_json(ret, header_of(s));
	buf_add_text(ret, ".");
	add_json(ret, claims);
	return sign(s, ret);
}
