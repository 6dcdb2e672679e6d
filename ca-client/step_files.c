/* ca-client/step_files.c - the files of the step driver: roots, certificate, password, key. An encrypted key costs up
 * to a second of CPU, so what has not changed since the last look is not opened again. In a job. */
#include <openssl/crypto.h>
#include <string.h>
#include "base/anchors.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/io/file.h"
#include "base/io/paths.h"
#include "base/mem.h"
#include "base/pem.h"
#include "ca-client/step_internal.h"

enum { FILE_MAX = 256 * 1024, SECRET_FORBIDDEN = 0027, PUBLIC_FORBIDDEN = 0022 };

/* What a signer is made of, as it is in the files. */
struct material {
	struct buf key, password, chain;
};

static struct fault *read_file(const char *file, mode_t forbidden, struct buf *ret)
{
	AUTO(mem_freep) char *path = NULL;
	if (!file)
		return NULL;
	TRY(paths_credential(file, &path));
	return file_read_private(path, FILE_MAX, forbidden, ret);
}

static struct fault *read_password(const char *file, struct buf *ret)
{
	TRY(read_file(file, SECRET_FORBIDDEN, ret));
	while (ret->len && strchr("\r\n", ret->data[ret->len - 1]))
		buf_truncate(ret, ret->len - 1);
	return !file || (ret->len && !memchr(ret->data, 0, ret->len))
		       ? NULL
		       : fault_new(FAULT_INVALID, "%s holds no password", file);
}

static struct fault *read_chain(const char *file, const struct buf *pem, STACK_OF(X509) * *ret)
{
	if (!file)
		return NULL;
	*ret = sk_X509_new_null();
	invariant(*ret);
	struct fault *f = pem_read_certs(pem->data, pem->len, CREDENTIAL_CHAIN_MAX, *ret);
	return f ? fault_wrap(f, "%s", file) : NULL;
}

static void digest_of(const struct material *m, unsigned char ret[STEP_DIGEST_LEN])
{
	const struct buf *const parts[] = {&m->key, &m->password, &m->chain};
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	invariant(ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		invariant(EVP_DigestUpdate(ctx, &parts[i]->len, sizeof parts[i]->len) == 1);
		invariant(!parts[i]->len || EVP_DigestUpdate(ctx, parts[i]->data, parts[i]->len) == 1);
	}
	invariant(EVP_DigestFinal_ex(ctx, ret, NULL) == 1);
	EVP_MD_CTX_free(ctx);
}

static struct fault *make_signer(struct step_files *r, const struct material *m)
{
	STACK_OF(X509) *chain = NULL;
	struct fault *f = read_chain(r->o->certificate_file, &m->chain, &chain);
	if (!f) {
		f = step_signer_new(m->key.data, m->key.len, m->password.len ? buf_text(&m->password) : NULL,
			r->o->key_id, chain, &r->signer);
		if (f)
			f = fault_wrap(f, "the provisioner's key in %s", r->o->key_file);
	}
	sk_X509_pop_free(chain, X509_free);
	return f;
}

static struct fault *read_signer(struct step_files *r)
{
	struct material m = {BUF_SECRET_INIT, BUF_SECRET_INIT, BUF_INIT};
	unsigned char digest[STEP_DIGEST_LEN];
	struct fault *f = read_file(r->o->certificate_file, PUBLIC_FORBIDDEN, &m.chain);
	if (!f)
		f = read_password(r->o->key_password_file, &m.password);
	if (!f)
		f = read_file(r->o->key_file, SECRET_FORBIDDEN, &m.key);
	if (!f) {
		digest_of(&m, digest);
		if (!r->have_signer || CRYPTO_memcmp(digest, r->digest, sizeof digest) != 0)
			f = make_signer(r, &m);
		memcpy(r->digest, digest, sizeof digest);
	}
	buf_free(&m.key);
	buf_free(&m.password);
	buf_free(&m.chain);
	return f;
}

void step_files_read(void *arg)
{
	struct step_files *r = arg;
	struct buf roots = BUF_INIT;
	r->fault = read_file(r->o->root_file, PUBLIC_FORBIDDEN, &roots);
	if (!r->fault && r->o->root_file)
		r->fault = anchors_from_pem(roots.data, roots.len, &r->given);
	if (r->fault)
		r->fault = fault_wrap(r->fault, "the roots in %s", r->o->root_file);
	else
		r->fault = read_signer(r);
	buf_free(&roots);
}

void step_files_free(struct step_files *r)
{
	step_signer_free(r->signer);
	anchors_unref(r->given);
	fault_free(r->fault);
	OPENSSL_cleanse(r->digest, sizeof r->digest);
	free(r);
}
