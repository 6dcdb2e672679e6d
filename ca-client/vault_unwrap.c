/* ca-client/vault_unwrap.c - a secret id that came wrapped (https://developer.hashicorp.com/vault/docs/concepts/
 * response-wrapping): the file has a token that opens it once, so what was in it is kept, sealed, under the token's
 * hash. Whoever opened it before us has the secret id: that is said, and nothing is logged in with. */
#include <openssl/evp.h>
#include <string.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/text.h"
#include "ca-client/vault_internal.h"

#define KEPT "secret-id"
enum { HASH_LEN = 32 };

static void hash_of(const struct secret *token, char ret[VAULT_WRAPPED_LEN + 1])
{
	unsigned char hash[HASH_LEN];
	size_t len;
	const unsigned char *bytes = secret_bytes(token, &len);
	invariant(EVP_Digest(bytes, len, hash, NULL, EVP_sha256(), NULL) == 1);
	text_hex(hash, sizeof hash, ret);
}

/* The record: the hash of its token, then the secret id. */
static struct secret *read_record(const struct secret *record, const char *hash)
{
	size_t len;
	struct secret *ret = NULL;
	const char *bytes = record ? (const char *)secret_bytes(record, &len) : NULL;
	if (!bytes || len <= VAULT_WRAPPED_LEN || strncmp(bytes, hash, VAULT_WRAPPED_LEN) != 0)
		return NULL;
	fault_ignore(secret_new(bytes + VAULT_WRAPPED_LEN, len - VAULT_WRAPPED_LEN, &ret),
		"without memory for it the token is tried, and refused in words");
	return ret;
}

const struct secret *vault_unwrapped(struct vault *v, const struct secret *token)
{
	struct vault_unwrapped *u = &v->login.unwrapped;
	const struct secret *record = NULL;
	char hash[VAULT_WRAPPED_LEN + 1];
	hash_of(token, hash);
	if (u->secret_id && strcmp(u->of, hash) == 0)
		return u->secret_id;
	struct fault *f = v->ca.env.load(v->ca.env.arg, KEPT, &record);
	struct secret *kept = f ? NULL : read_record(record, hash);
	if (f)
		log_event(LOG_WARN, "authority.kept_secret_id_damaged", LS("authority", v->ca.env.authority), LF(f));
	fault_free(f);
	if (kept)
		vault_unwrap_take(v, token, kept);
	return kept;
}

void vault_unwrap_take(struct vault *v, const struct secret *token, struct secret *secret_id)
{
	struct vault_unwrapped *u = &v->login.unwrapped;
	secret_free(u->secret_id);
	u->secret_id = secret_id;
	hash_of(token, u->of);
}

static void on_kept(void *arg, struct fault *f)
{
	struct vault *v = arg;
	void (*done)(struct vault * v) = TAKE(v->login.unwrapped.done);
	if (f)
		log_event(LOG_ERROR, "authority.secret_id_not_kept", LS("authority", v->ca.env.authority), LF(f),
			LS("effect", "after a restart it needs a new wrapping token"));
	fault_free(f);
	v->pending--;
	if (v->closing)
		vault_finish_close(v);
	else
		done(v);
}

void vault_unwrap_keep(struct vault *v, void (*done)(struct vault *v))
{
	struct vault_unwrapped *u = &v->login.unwrapped;
	struct buf b = BUF_SECRET_INIT;
	AUTO(secret_freep) struct secret *record = NULL;
	size_t len;
	const unsigned char *bytes = secret_bytes(u->secret_id, &len);
	buf_add(&b, u->of, VAULT_WRAPPED_LEN);
	buf_add(&b, bytes, len);
	struct fault *f = secret_new(b.data, b.len, &record);
	buf_free(&b);
	u->done = done;
	v->pending++;
	if (f)
		on_kept(v, f);
	else
		v->ca.env.save(v->ca.env.arg, KEPT, record, on_kept, v);
}
