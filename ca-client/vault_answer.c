/* ca-client/vault_answer.c - what answers of the PKI engine and its auth methods say. All of it comes from outside:
 * bounded, checked, and escaped where it is shown. Pure. */
#include <openssl/x509v3.h>
#include <string.h>
#include "base/clock.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/pem.h"
#include "base/secret.h"
#include "base/text.h"
#include "ca-client/vault_internal.h"

enum {
	ISSUERS_MAX = 64,
	ID_MAX = 128,
	TEXT_MAX = 400,
	TOKEN_MAX = 16 * 1024,
	PEM_MAX = 64 * 1024,
	SHOWN_MAX = 4,
	KEY_TYPE_MAX = 32
};
/* Longer than any lease; what is above counts as this. */
#define LEASE_MAX_S INT64_C(315360000)

/* --- reading JSON --- */

static const json_t *member(const json_t *root, const char *key)
{
	return json_object_get(root, key); /* NULL for what is no object */
}

static const json_t *data(const json_t *root, const char *key)
{
	return member(member(root, "data"), key);
}

/* NULL: no text, or an empty one. */
static const char *text_of(const json_t *j)
{
	const char *text = json_string_value(j);
	return text && *text ? text : NULL;
}

void vault_texts_free(char **texts, size_t count)
{
	for (size_t i = 0; texts && i < count; i++)
		free(texts[i]);
	free(texts);
}

/* --- what it says in words --- */

static bool is_hidden(const char *text, const struct secret *const *hide, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (hide[i] && strstr(text, (const char *)secret_bytes(hide[i], NULL)))
			return true;
	return false;
}

/* The names are sent beside the CSR for roles that read them there; the others say that they do not. */
static bool is_usual(const char *text)
{
	return strstr(text, "use_csr_sans") != NULL;
}

/* The texts of a list, "; " between them, cut short. raw: whoever prints them escapes. */
static void add_texts(
	const json_t *list, const struct secret *const *hide, size_t hide_count, bool raw, struct buf *ret)
{
	size_t start = ret->len, count = json_array_size(list);
	for (size_t i = 0; i < count && i < SHOWN_MAX; i++) {
		const char *text = text_of(json_array_get(list, i));
		if (!text || (raw && is_usual(text)))
			continue;
		if (ret->len > start)
			buf_add_text(ret, "; ");
		if (is_hidden(text, hide, hide_count))
			buf_add_text(ret, "(it repeats our secret)");
		else if (raw)
			buf_add(ret, text, strnlen(text, TEXT_MAX));
		else
			text_add_escaped(ret, text, strnlen(text, TEXT_MAX));
	}
}

void vault_answer_warnings(const json_t *root, const struct secret *hide, struct buf *ret)
{
	add_texts(member(root, "warnings"), &hide, 1, true, ret);
}

/* What an operator does about a refusal. The engines' own texts. */
static const char *advice(const char *text)
{
	static const struct {
		const char *part, *advice;
	} known[] = {
		{"unknown role", "there is no such role in the mount: see the keys mount and role"},
		{"role requires keys of type",
			"the role takes another type of key than the profile asks for: set key_type=any on the role, "
			"or the profile's key"},
		{"role requires a minimum", "the role demands longer keys: see its key_bits, or the profile's key"},
		{"URI Subject Alternative Name", "the role does not allow this URI: see its allowed_uri_sans"},
		{"IP Subject Alternative Name", "the role does not allow IP addresses: see its allow_ip_sans"},
		{"subject alternate name",
			"the role does not allow this name: see its allowed_domains, allow_subdomains and "
			"allow_bare_domains"},
		{"email address", "the role does not allow this e-mail address: see its allowed_domains"},
		{"common name", "the role does not allow this name: see its allowed_domains and require_cn"},
		{"common_name field is required", "leafcast asks for no common name: set require_cn=false on the role"},
		{"beyond the expiration of the CA", "the issuing CA ends before the leaf would: renew it, or set its "
						    "leaf_not_after_behavior=truncate"},
		{"no handler for route", "nothing is mounted there: see the keys mount and namespace"},
		{"unsupported path", "the mount has no such function: is it a PKI engine?"},
		{"no default issuer", "the mount has no issuing CA yet: generate or import one"},
		{"invalid role or secret ID",
			"the role_id is wrong, or the secret_id has expired or was used up: put a new one in its file"},
		{"invalid certificate or no client certificate",
			"no certificate role of the auth method accepts the client certificate"},
		{"is sealed", "unseal it"},
		{"is not initialized", "initialise and unseal it"},
	};
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strstr(text, known[i].part))
			return known[i].advice;
	return NULL;
}

/* What a status alone means, where no text came with it. */
static const char *meaning(int status)
{
	switch (status) {
	case 400:
		return "the request was refused";
	case 401:
	case 403:
		return "permission denied";
	case 404:
		return "there is nothing: see the keys address, mount, role and namespace";
	case 412:
		return "this node has not seen our login's data yet";
	case 429:
		return "too many requests";
	case 472:
	case 473:
		return "this node is a standby that serves nothing";
	case 501:
		return "it is not initialised";
	case 503:
		return "it is sealed, in maintenance, or a standby without a leader";
	}
	return status >= 500 ? "it failed" : "it refused";
}

/* Class, and whether a retry may help. */
static enum fault_code class_of(int status, bool *ret_retryable)
{
	*ret_retryable = status >= 500 || status == 412 || status == 472 || status == 473 || status == 429 ||
			 status == 408 || status == 425;
	if (status == 401 || status == 403)
		return FAULT_DENIED;
	if (status == 429)
		return FAULT_EXHAUSTED;
	if (status == 408)
		return FAULT_TIMEOUT;
	if (*ret_retryable)
		return FAULT_UNAVAILABLE;
	return status >= 400 && status < 500 ? FAULT_INVALID : FAULT_CORRUPT;
}

/* Where a quota tells no time: its usual interval. */
#define THROTTLED_WAIT_MS MS_PER_S

struct fault *vault_answer_fault(
	int status, const json_t *root, int64_t retry_after_ms, const struct secret *const *hide, size_t hide_count)
{
	bool retryable = false;
	enum fault_code code = class_of(status, &retryable);
	if (!json_is_object(root) && status >= 400 && !retryable) /* a proxy's page: the engines speak JSON */
		return fault_set_retryable(
			fault_new(FAULT_UNAVAILABLE, "something else than a Vault or OpenBao answered %d", status), -1);
	struct buf text = BUF_INIT;
	add_texts(member(root, "errors"), hide, hide_count, false, &text);
	const char *advised = advice(buf_text(&text));
	struct fault *f = fault_new(code, "%d: %s%s%s", status, text.len ? buf_text(&text) : meaning(status),
		advised ? "; " : "", advised ? advised : "");
	buf_free(&text);
	if (status == 429 && retry_after_ms < 0)
		retry_after_ms = THROTTLED_WAIT_MS;
	return retryable ? fault_set_retryable(f, retry_after_ms) : f;
}

/* --- certificates --- */

bool vault_is_self_signed(X509 *cert)
{
	return X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) == 0 &&
	       X509_self_signed(cert, 0) == 1;
}

static struct fault *add_certs(const json_t *pem, STACK_OF(X509) * to)
{
	const char *text = text_of(pem);
	if (!text || strnlen(text, PEM_MAX + 1) > PEM_MAX)
		return fault_new(FAULT_CORRUPT, "a certificate is no text, empty or too long");
	int room = CREDENTIAL_CHAIN_MAX * 2 - sk_X509_num(to);
	if (room <= 0)
		return fault_new(FAULT_CORRUPT, "more than %d certificates came", CREDENTIAL_CHAIN_MAX * 2);
	struct fault *f = pem_read_certs(text, strlen(text), room, to);
	if (!f)
		return NULL;
	struct fault *corrupt = fault_new(FAULT_CORRUPT, "a certificate that came: %s", fault_text(f));
	fault_free(f);
	return corrupt;
}

static struct fault *add_chain(const json_t *list, STACK_OF(X509) * to)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		TRY(add_certs(json_array_get(list, i), to));
	return NULL;
}

/* The next one up, or NULL. */
static X509 *issuer_of(X509 *cert, const STACK_OF(X509) * pool)
{
	for (int i = 0; i < sk_X509_num(pool); i++) {
		X509 *c = sk_X509_value(pool, i);
		if (X509_check_issued(c, cert) == X509_V_OK && X509_cmp(c, cert) != 0 &&
			X509_verify(cert, X509_get0_pubkey(c)) == 1)
			return c;
	}
	return NULL;
}

/* A mount with cross-signed issuers gives more certificates than lie on one path. */
static STACK_OF(X509) * path_from(X509 *leaf, const STACK_OF(X509) * pool)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	invariant(chain);
	for (X509 *c = leaf; c && sk_X509_num(chain) < CREDENTIAL_CHAIN_MAX; c = issuer_of(c, pool)) {
		invariant(X509_up_ref(c) && sk_X509_push(chain, c));
		if (vault_is_self_signed(c))
			break;
	}
	return chain;
}

static struct fault *read_chain(const json_t *root, STACK_OF(X509) * leaf, STACK_OF(X509) * pool, STACK_OF(X509) * *ret)
{
	TRY(add_certs(data(root, "certificate"), leaf));
	if (sk_X509_num(leaf) != 1)
		return fault_new(FAULT_CORRUPT, "%d certificates came where one leaf was due", sk_X509_num(leaf));
	TRY(add_certs(data(root, "issuing_ca"), pool));
	TRY(add_chain(data(root, "ca_chain"), pool));
	*ret = path_from(sk_X509_value(leaf, 0), pool);
	return NULL;
}

struct fault *vault_answer_chain(const json_t *root, STACK_OF(X509) * *ret)
{
	STACK_OF(X509) *leaf = sk_X509_new_null(), *pool = sk_X509_new_null();
	invariant(leaf && pool);
	struct fault *f = read_chain(root, leaf, pool, ret);
	sk_X509_pop_free(leaf, X509_free);
	sk_X509_pop_free(pool, X509_free);
	return f;
}

struct fault *vault_answer_issuer(const json_t *root, STACK_OF(X509) * ret)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	invariant(certs);
	struct fault *f = add_certs(data(root, "certificate"), certs);
	if (!f)
		f = add_chain(data(root, "ca_chain"), certs);
	for (X509 *c; !f && (c = sk_X509_shift(certs)) != NULL;)
		invariant(sk_X509_push(ret, c));
	sk_X509_pop_free(certs, X509_free);
	return f;
}

static bool is_id(const char *text)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
	return len > 0 && len <= ID_MAX && !text[len];
}

struct fault *vault_answer_issuers(const json_t *root, char ***ret, size_t *ret_count)
{
	const json_t *keys = data(root, "keys");
	size_t count = json_array_size(keys);
	if (count == 0 || count > ISSUERS_MAX)
		return fault_new(FAULT_CORRUPT, "it lists %zu issuers; 1 to %d are taken", count, ISSUERS_MAX);
	for (size_t i = 0; i < count; i++) {
		const char *id = text_of(json_array_get(keys, i));
		if (!id || !is_id(id))
			return fault_new(FAULT_CORRUPT, "it lists an issuer without a usable id");
	}
	char **ids = mem_array(char *, count);
	for (size_t i = 0; i < count; i++)
		ids[i] = mem_strdup(json_string_value(json_array_get(keys, i)));
	*ret = ids;
	*ret_count = count;
	return NULL;
}

/* --- logins --- */

static struct fault *read_lease(const json_t *seconds, const json_t *renewable, struct vault_lease *ret)
{
	json_int_t s = json_integer_value(seconds);
	if (!json_is_integer(seconds) || s < 0)
		return fault_new(FAULT_CORRUPT, "its login has no lifetime");
	*ret = (struct vault_lease){(s < LEASE_MAX_S ? s : LEASE_MAX_S) * MS_PER_S, json_is_true(renewable)};
	return NULL;
}

static bool is_header_text(const char *text)
{
	size_t len = strnlen(text, TOKEN_MAX + 1);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 0x7f)
			return false;
	return len <= TOKEN_MAX;
}

struct fault *vault_answer_login(const json_t *root, struct secret **ret_token, struct vault_lease *ret)
{
	const json_t *auth = member(root, "auth");
	const char *token = text_of(member(auth, "client_token"));
	struct vault_lease lease;
	if (member(auth, "mfa_requirement") && !json_is_null(member(auth, "mfa_requirement")))
		return fault_new(FAULT_DENIED, "the login demands a second factor, which a machine does not have");
	if (ret_token && (!token || !is_header_text(token)))
		return fault_new(FAULT_CORRUPT, "the login gave no usable token");
	TRY(read_lease(member(auth, "lease_duration"), member(auth, "renewable"), &lease));
	if (ret_token)
		TRY(secret_new(token, strlen(token), ret_token));
	*ret = lease;
	return NULL;
}

struct fault *vault_answer_unwrapped(const json_t *root, struct secret **ret)
{
	const char *id = text_of(data(root, "secret_id"));
	if (!id || !is_header_text(id))
		return fault_new(FAULT_INVALID,
			"what the token opened holds no secret_id: it must be made by `vault write "
			"-wrap-ttl=... -f auth/approle/role/NAME/secret-id`");
	return secret_new(id, strlen(id), ret);
}

struct fault *vault_answer_lookup(const json_t *root, struct vault_lease *ret)
{
	return read_lease(data(root, "ttl"), data(root, "renewable"), ret);
}

/* --- the role --- */

static bool is_false(const json_t *root, const char *key)
{
	return json_is_false(data(root, key));
}

/* A list, or a text with commas. */
static bool is_empty(const json_t *j)
{
	return json_is_array(j) ? json_array_size(j) == 0 : !text_of(j);
}

static void trap(struct buf *ret, const char *text)
{
	buf_printf(ret, "%s%s", ret->len ? "; " : "", text);
}

struct fault *vault_answer_traps(const json_t *root, struct buf *ret)
{
	if (!json_is_object(member(root, "data")))
		return fault_new(FAULT_CORRUPT, "the role has no data");
	const char *key = text_of(data(root, "key_type"));
	if (json_is_true(data(root, "require_cn")))
		trap(ret, "require_cn is true and leafcast asks for no common name: set it to false");
	if (key && strcmp(key, "any") != 0) {
		trap(ret, "key_type is ");
		text_add_escaped(ret, key, strnlen(key, KEY_TYPE_MAX));
		buf_add_text(ret, ": profiles that ask for other keys are refused (\"any\" takes all)");
	}
	if (data(root, "allowed_uri_sans") && is_empty(data(root, "allowed_uri_sans")))
		trap(ret, "allowed_uri_sans is empty: names that are URIs (SPIFFE) are refused");
	if (is_false(root, "allow_any_name") && is_empty(data(root, "allowed_domains")) &&
		is_false(root, "allow_localhost"))
		trap(ret, "neither allow_any_name nor allowed_domains: every DNS name is refused");
	if (is_false(root, "server_flag") && is_false(root, "code_signing_flag") &&
		is_empty(data(root, "ext_key_usage")))
		trap(ret, "server_flag is false: the leaves cannot be used by servers");
	if (is_false(root, "client_flag"))
		trap(ret, "client_flag is false: the leaves cannot be used by clients (mutual TLS)");
	return NULL;
}
