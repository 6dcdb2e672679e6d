#include "cache/version.h"
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include "base/anchors.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/gate.h"
#include "base/io/mailbox.h"
#include "base/mem.h"
#include "base/ref.h"
#include "base/secret.h"
#include "base/text.h"
#include "cache/body.h"
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
	struct credential *credential;
	struct anchors *anchors;
	struct secret *bodies[BODY_FORMS];
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

static void name_version(struct version *v)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	size_t len;
	const void *entry = entry_key_bytes(v->entry, &len);
	const char *kind = secret_kind_name(v->kind);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	invariant(ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1);
	hash_part(ctx, "leafcast version 1", 18);
	hash_part(ctx, kind, strlen(kind));
	hash_part(ctx, entry, len);
	if (v->credential) {
		STACK_OF(X509) *chain = credential_chain(v->credential);
		for (int i = 0; i < sk_X509_num(chain); i++)
			hash_cert(ctx, sk_X509_value(chain, i));
		hash_public_key(ctx, credential_public_key(v->credential));
	} else {
		for (size_t i = 0; i < anchors_count(v->anchors); i++)
			hash_cert(ctx, anchors_cert(v->anchors, i));
	}
	invariant(EVP_DigestFinal_ex(ctx, digest, NULL) == 1);
	EVP_MD_CTX_free(ctx);
	text_hex(digest, ID_BYTES, v->id);
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

struct fault *version_new_certificate(
	const struct entry_key *entry, struct credential *c, const struct version_origin *o, struct version **ret)
{
	AUTO(secret_freep) struct secret *body = NULL;
	TRY(gate_check_credential(c));
	TRY(body_encode_certificate(c, &body));
	struct version *v = make(entry, SECRET_TLS_CERTIFICATE, o);
	v->credential = credential_ref(c);
	v->not_before_ms = credential_info(c)->not_before_ms;
	v->not_after_ms = credential_info(c)->not_after_ms;
	v->bodies[BODY_PLAIN] = TAKE(body);
	name_version(v);
	*ret = v;
	return NULL;
}

struct fault *version_new_bundle(
	const struct entry_key *entry, struct anchors *a, const struct version_origin *o, struct version **ret)
{
	AUTO(secret_freep) struct secret *body = NULL;
	TRY(gate_check_anchors(a));
	TRY(body_encode_bundle(a, &body));
	struct version *v = make(entry, SECRET_VALIDATION_CONTEXT, o);
	v->anchors = anchors_ref(a);
	v->not_before_ms = INT64_MIN;
	v->not_after_ms = INT64_MAX;
	for (size_t i = 0; i < anchors_count(a); i++) {
		const struct cert_info *info = anchors_info(a, i);
		if (info->not_before_ms > v->not_before_ms)
			v->not_before_ms = info->not_before_ms;
		if (info->not_after_ms < v->not_after_ms)
			v->not_after_ms = info->not_after_ms;
	}
	v->bodies[BODY_PLAIN] = TAKE(body);
	name_version(v);
	*ret = v;
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
	credential_unref(v->credential);
	anchors_unref(v->anchors);
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

struct credential *version_credential(const struct version *v)
{
	return v->credential;
}

struct anchors *version_anchors(const struct version *v)
{
	return v->anchors;
}

const unsigned char *version_body(struct version *v, enum body_form form, size_t *ret_len)
{
	return secret_bytes(v->bodies[form], ret_len);
}
