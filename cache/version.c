#include "cache/version.h"
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/gate.h"
#include "base/io/mailbox.h"
#include "base/mem.h"
#include "base/ref.h"
#include "base/secret.h"
#include "base/text.h"
#include "cache/body.h"
#include "cache/description.h"
#include "cache/entry.h"

enum { ID_BYTES = 16 };

struct version {
	struct mail mail; /* its last journey: to the reaper */
	struct ref ref;
	char id[2 * ID_BYTES + 1];
	enum secret_kind kind;
	struct entry_key *entry;
	char *authority, *profile;
	int64_t received_at_ms, not_before_ms, not_after_ms;
	struct description description;
	struct secret *bodies[BODY_FORMS];
	struct body_part public, key; /* of the plain body */
};

/* Set before threads start and cleared after they ended, so it needs no guard (version.h). */
static struct {
	void (*take)(void *arg, struct version *v);
	void *arg;
} reaper;

const char *secret_kind_name(enum secret_kind k)
{
	switch (k) {
	case SECRET_TLS_CERTIFICATE:
		return "tls_certificate";
	case SECRET_VALIDATION_CONTEXT:
		return "validation_context";
	}
	return "unknown";
}

/* --- the name of a content: SHA-256 over length-prefixed parts, so that no two contents run into the same bytes --- */

static void hash_part(EVP_MD_CTX *ctx, const void *bytes, size_t len)
{
	unsigned char prefix[8];
	for (size_t i = 0; i < sizeof prefix; i++)
		prefix[i] = (unsigned char)((uint64_t)len >> (56 - 8 * i));
	invariant(EVP_DigestUpdate(ctx, prefix, sizeof prefix) == 1 && EVP_DigestUpdate(ctx, bytes, len) == 1);
}

static void hash_cert(EVP_MD_CTX *ctx, X509 *cert)
{
	unsigned char *der = NULL;
	int len = i2d_X509(cert, &der);
	invariant(len > 0);
	hash_part(ctx, der, (size_t)len);
	OPENSSL_free(der);
}

static void hash_public_key(EVP_MD_CTX *ctx, EVP_PKEY *key)
{
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(key, &der);
	invariant(len > 0);
	hash_part(ctx, der, (size_t)len);
	OPENSSL_free(der);
}

static void begin_name(EVP_MD_CTX *ctx, enum secret_kind k, const struct entry_key *entry)
{
	size_t len;
	const void *bytes = entry_key_bytes(entry, &len);
	const char *kind = secret_kind_name(k);
	invariant(ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1);
	hash_part(ctx, "leafcast version 1", 18);
	hash_part(ctx, kind, strlen(kind));
	hash_part(ctx, bytes, len);
}

static void end_name(EVP_MD_CTX *ctx, struct version *v)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	invariant(EVP_DigestFinal_ex(ctx, digest, NULL) == 1);
	EVP_MD_CTX_free(ctx);
	text_hex(digest, ID_BYTES, v->id);
}

static void name_certificate(struct version *v, const struct credential *c)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	STACK_OF(X509) *chain = credential_chain(c);
	begin_name(ctx, v->kind, v->entry);
	for (int i = 0; i < sk_X509_num(chain); i++)
		hash_cert(ctx, sk_X509_value(chain, i));
	hash_public_key(ctx, credential_public_key(c));
	end_name(ctx, v);
}

static void name_bundle(struct version *v, const struct anchors *a)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	begin_name(ctx, v->kind, v->entry);
	for (size_t i = 0; i < anchors_count(a); i++)
		hash_cert(ctx, anchors_cert(a, i));
	end_name(ctx, v);
}

static struct version *make(const struct entry_key *entry, enum secret_kind kind, const struct version_origin *o)
{
	struct version *v = mem_new(struct version);
	ref_init(&v->ref);
	v->kind = kind;
	v->entry = entry_key_ref((struct entry_key *)(uintptr_t)entry);
	v->authority = mem_strdup(o->authority);
	v->profile = mem_strdup(o->profile);
	v->received_at_ms = o->received_at_ms;
	return v;
}

static void take_times(struct version *v)
{
	const struct cert_info *leaf = version_leaf(v);
	v->not_before_ms = leaf ? leaf->not_before_ms : description_not_before_ms(&v->description);
	v->not_after_ms = leaf ? leaf->not_after_ms : description_not_after_ms(&v->description);
}

static struct fault *encode(struct version *v, const void *public, size_t len, const struct secret *key)
{
	struct secret **body = &v->bodies[BODY_PLAIN];
	return v->kind == SECRET_TLS_CERTIFICATE ? body_encode_certificate(public, len, key, &v->public, &v->key, body)
						 : body_encode_bundle(public, len, &v->public, body);
}

struct fault *version_new_certificate(
	const struct entry_key *entry, struct credential *c, const struct version_origin *o, struct version **ret)
{
	AUTO(secret_freep) struct secret *key = NULL;
	struct buf chain = BUF_INIT;
	TRY(gate_check_credential(c));
	TRY(credential_key_pem(c, &key));
	AUTO(version_unrefp) struct version *v = make(entry, SECRET_TLS_CERTIFICATE, o);
	TRY(description_of_credential(c, &v->description));
	take_times(v);
	name_certificate(v, c);
	credential_chain_pem(c, &chain);
	struct fault *f = encode(v, chain.data, chain.len, key);
	buf_free(&chain);
	TRY(f);
	*ret = TAKE(v);
	return NULL;
}

struct fault *version_new_bundle(
	const struct entry_key *entry, struct anchors *a, const struct version_origin *o, struct version **ret)
{
	struct buf pem = BUF_INIT;
	TRY(gate_check_anchors(a));
	AUTO(version_unrefp) struct version *v = make(entry, SECRET_VALIDATION_CONTEXT, o);
	description_of_anchors(a, &v->description);
	take_times(v);
	name_bundle(v, a);
	anchors_pem(a, &pem);
	struct fault *f = encode(v, pem.data, pem.len, NULL);
	buf_free(&pem);
	TRY(f);
	*ret = TAKE(v);
	return NULL;
}

struct fault *version_from_record(const struct entry_key *entry, const struct version_record *r, struct version **ret)
{
	if (strlen(r->id) != 2 * ID_BYTES || strspn(r->id, "0123456789abcdef") != 2 * ID_BYTES)
		return fault_new(FAULT_INVALID, "a version is not named like that");
	if (!r->public_len)
		return fault_new(FAULT_INVALID, "a version without certificates");
	AUTO(version_unrefp) struct version *v = make(entry, r->kind, &r->origin);
	memcpy(v->id, r->id, sizeof v->id);
	v->description = *r->description;
	*r->description = (struct description){NULL, 0};
	take_times(v);
	TRY(encode(v, r->public, r->public_len, r->key));
	*ret = TAKE(v);
	return NULL;
}

struct version *version_ref(struct version *v)
{
	ref_up(&v->ref);
	return v;
}

void version_unref(struct version *v)
{
	if (!v || !ref_down(&v->ref))
		return;
	if (reaper.take)
		reaper.take(reaper.arg, v);
	else
		version_wipe(v);
}

void version_unrefp(struct version **v)
{
	version_unref(*v);
	*v = NULL;
}

void version_set_reaper(void (*take)(void *arg, struct version *v), void *arg)
{
	reaper.take = take;
	reaper.arg = arg;
}

static void wipe_mail(struct mail *m)
{
	version_wipe(container_of(m, struct version, mail));
}

struct mail *version_mail(struct version *v)
{
	v->mail.free = wipe_mail;
	return &v->mail;
}

void version_wipe(struct version *v)
{
	for (size_t i = 0; i < BODY_FORMS; i++)
		secret_free(v->bodies[i]);
	description_free(&v->description);
	entry_key_unref(v->entry);
	free(v->authority);
	free(v->profile);
	free(v);
}

const char *version_id(const struct version *v)
{
	return v->id;
}

enum secret_kind version_kind(const struct version *v)
{
	return v->kind;
}

const struct entry_key *version_entry(const struct version *v)
{
	return v->entry;
}

const char *version_authority(const struct version *v)
{
	return v->authority;
}

const char *version_profile(const struct version *v)
{
	return v->profile;
}

int64_t version_received_at_ms(const struct version *v)
{
	return v->received_at_ms;
}

int64_t version_not_before_ms(const struct version *v)
{
	return v->not_before_ms;
}

int64_t version_not_after_ms(const struct version *v)
{
	return v->not_after_ms;
}

int64_t version_life_ms(const struct version *v)
{
	int64_t begin = v->not_before_ms > v->received_at_ms ? v->not_before_ms : v->received_at_ms;
	return v->not_after_ms > begin ? v->not_after_ms - begin : 0;
}

const struct description *version_description(const struct version *v)
{
	return &v->description;
}

const struct cert_info *version_leaf(const struct version *v)
{
	return v->kind == SECRET_TLS_CERTIFICATE ? &v->description.certs[0] : NULL;
}

static const unsigned char *part(const struct version *v, const struct body_part *p, size_t *ret_len)
{
	*ret_len = p->len;
	return p->len ? secret_bytes(v->bodies[BODY_PLAIN], NULL) + p->at : NULL;
}

const unsigned char *version_public_pem(const struct version *v, size_t *ret_len)
{
	return part(v, &v->public, ret_len);
}

const unsigned char *version_key_pem(const struct version *v, size_t *ret_len)
{
	return part(v, &v->key, ret_len);
}

struct fault *version_read_credential(const struct version *v, struct credential **ret)
{
	AUTO(secret_freep) struct secret *key = NULL;
	size_t len, public_len;
	const unsigned char *key_pem = version_key_pem(v, &len), *public = version_public_pem(v, &public_len);
	if (!key_pem)
		return fault_new(FAULT_INVALID, "a %s has no private key", secret_kind_name(v->kind));
	TRY(secret_new(key_pem, len, &key));
	return credential_from_pem(public, public_len, key, ret);
}

const unsigned char *version_body(struct version *v, enum body_form form, size_t *ret_len)
{
	return secret_bytes(v->bodies[form], ret_len);
}
