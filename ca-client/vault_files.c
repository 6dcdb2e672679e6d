/* ca-client/vault_files.c - the files of an authority, read in a job: roots and credentials of the login. */
#include <string.h>
#include "base/anchors.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/io/file.h"
#include "base/io/job.h"
#include "base/io/paths.h"
#include "base/mem.h"
#include "base/pem.h"
#include "base/secret.h"
#include "ca-client/vault_internal.h"

enum { TOKEN_MAX = 16 * 1024, PEM_FILE_MAX = 256 * 1024 };
/* Of a file with a secret nobody but its owner and group may know; a Kubernetes token is readable for all within its
 * container, and a certificate is public: those must not be written by others. */
enum { SECRET_FORBIDDEN = 0027, TOKEN_FORBIDDEN = 0022 };

struct reading {
	struct vault *owner;
	const struct vault_options *o; /* of the owner, immutable */
	struct vault_files *files;
	vault_files_fn *done;
};

/* One line of printable ASCII: it becomes a header or a JSON text. */
static struct fault *one_line(const char *path, const struct buf *b, struct secret **ret)
{
	size_t len = b->len;
	while (len && strchr(" \t\r\n", b->data[len - 1]))
		len--;
	for (size_t i = 0; i < len; i++)
		if (b->data[i] <= ' ' || b->data[i] >= 0x7f)
			return fault_new(FAULT_INVALID, "%s holds more than one word of printable ASCII", path);
	if (!len)
		return fault_new(FAULT_INVALID, "%s is empty", path);
	return secret_new(b->data, len, ret);
}

static struct fault *read_secret(const char *file, mode_t forbidden, struct secret **ret)
{
	AUTO(mem_freep) char *path = NULL;
	struct buf b = BUF_SECRET_INIT;
	TRY(paths_credential(file, &path));
	/* The service manager may open a credential to the service's user by an ACL, which shows as a group. */
	struct fault *f = file_read_private(path, TOKEN_MAX, forbidden, &b);
	if (!f)
		f = one_line(path, &b, ret);
	buf_free(&b);
	return f;
}

static struct fault *read_roots(const char *file, struct anchors **ret)
{
	AUTO(mem_freep) char *path = NULL;
	struct buf b = BUF_INIT;
	if (!file)
		return NULL;
	TRY(paths_credential(file, &path));
	struct fault *f = file_read_private(path, PEM_FILE_MAX, TOKEN_FORBIDDEN, &b);
	if (!f)
		f = anchors_from_pem(b.data, b.len, ret);
	buf_free(&b);
	return f ? fault_wrap(f, "the roots in %s", path) : NULL;
}

static struct fault *parse_client(const struct buf *chain, const struct buf *key, struct credential **ret)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	EVP_PKEY *keys[1] = {NULL};
	size_t count = 0;
	invariant(certs);
	struct fault *f = pem_read_certs(chain->data, chain->len, CREDENTIAL_CHAIN_MAX, certs);
	if (!f)
		f = pem_read_keys(key->data, key->len, NULL, keys, 1, &count);
	if (!f)
		f = credential_new(certs, keys[0], ret);
	EVP_PKEY_free(keys[0]);
	sk_X509_pop_free(certs, X509_free);
	return f;
}

static struct fault *read_client(const struct vault_login_options *o, struct credential **ret)
{
	AUTO(mem_freep) char *certificate = NULL;
	AUTO(mem_freep) char *key_path = NULL;
	struct buf chain = BUF_INIT, key = BUF_SECRET_INIT;
	TRY(paths_credential(o->certificate_file, &certificate));
	TRY(paths_credential(o->key_file, &key_path));
	struct fault *f = file_read_private(certificate, PEM_FILE_MAX, TOKEN_FORBIDDEN, &chain);
	if (!f)
		f = file_read_private(key_path, PEM_FILE_MAX, SECRET_FORBIDDEN, &key);
	if (!f)
		f = parse_client(&chain, &key, ret);
	buf_free(&chain);
	buf_free(&key);
	return f ? fault_wrap(f, "the client certificate in %s and %s", certificate, key_path) : NULL;
}

static struct fault *read_login(const struct vault_login_options *o, struct vault_files *f)
{
	switch (o->type) {
	case VAULT_AUTH_TOKEN:
		return read_secret(o->token_file, SECRET_FORBIDDEN, &f->token);
	case VAULT_AUTH_JWT:
		return read_secret(o->token_file, TOKEN_FORBIDDEN, &f->token);
	case VAULT_AUTH_APPROLE:
		TRY(read_secret(o->role_id_file, TOKEN_FORBIDDEN, &f->role_id));
		return o->wrapping_token_file ? read_secret(o->wrapping_token_file, SECRET_FORBIDDEN, &f->wrapping)
					      : read_secret(o->secret_id_file, SECRET_FORBIDDEN, &f->secret_id);
	case VAULT_AUTH_CERTIFICATE:
		return read_client(o, &f->client);
	}
	return fault_new(FAULT_INTERNAL, "unknown login");
}

static void read_all(void *arg)
{
	struct reading *r = arg;
	struct vault_files *f = r->files;
	f->roots_fault = read_roots(r->o->ca_file, &f->server_roots);
	if (!f->roots_fault)
		f->roots_fault = read_roots(r->o->root_file, &f->given_roots);
	f->login_fault = read_login(&r->o->login, f);
}

static void on_read(void *arg)
{
	struct reading *r = arg;
	struct vault *v = r->owner;
	if (v->closing)
		vault_files_free(r->files);
	else
		r->done(v, r->files);
	free(r);
	v->pending--;
	vault_finish_close(v);
}

void vault_files_read(struct vault *v, vault_files_fn *done)
{
	struct reading *r = mem_new(struct reading);
	r->owner = v;
	r->o = &v->o;
	r->files = mem_new(struct vault_files);
	r->done = done;
	v->pending++;
	jobs_run(v->ca.env.jobs, false, read_all, on_read, r);
}

static bool same_secret(const struct secret *a, const struct secret *b)
{
	return a && b ? secret_equal(a, b) : a == b;
}

static bool same_client(const struct credential *a, const struct credential *b)
{
	return a && b ? strcmp(credential_info(a)->sha256, credential_info(b)->sha256) == 0 : a == b;
}

bool vault_files_same_login(const struct vault_files *a, const struct vault_files *b)
{
	if (!a || !b)
		return a == b;
	return same_secret(a->token, b->token) && same_secret(a->role_id, b->role_id) &&
	       same_secret(a->secret_id, b->secret_id) && same_secret(a->wrapping, b->wrapping) &&
	       same_client(a->client, b->client);
}

void vault_files_free(struct vault_files *f)
{
	if (!f)
		return;
	anchors_unref(f->server_roots);
	anchors_unref(f->given_roots);
	fault_free(f->roots_fault);
	secret_free(f->token);
	secret_free(f->role_id);
	secret_free(f->secret_id);
	secret_free(f->wrapping);
	credential_unref(f->client);
	fault_free(f->login_fault);
	free(f);
}
