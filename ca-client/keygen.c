#include "ca-client/keygen.h"
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>
#include "base/fault.h"
#include "base/io/job.h"
#include "base/mem.h"
#include "base/text.h"

struct keygen {
	enum key_type type;
	struct san_set sans;
	char *common_name;
	keygen_fn *done;
	void *arg;
	/* output */
	struct fault *fault;
	EVP_PKEY *key;
	X509_REQ *csr;
};

struct fault *keygen_key(enum key_type type, EVP_PKEY **ret)
{
	EVP_PKEY *key = NULL;
	invariant(key_type_name(type));
	switch (type) {
	case KEY_ECDSA_P256:
		key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
		break;
	case KEY_ECDSA_P384:
		key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
		break;
	case KEY_RSA_2048:
		key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
		break;
	case KEY_RSA_3072:
		key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)3072);
		break;
	case KEY_RSA_4096:
		key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)4096);
		break;
	}
	if (!key)
		return fault_openssl(FAULT_INTERNAL, "key generation (%s)", key_type_name(type));
	*ret = key;
	return NULL;
}

static struct fault *add_sans(X509_REQ *csr, const struct san_set *sans, bool critical)
{
	X509_EXTENSION *e = NULL;
	if (!sans->count)
		return NULL;
	TRY(san_set_to_extension(sans, critical, &e));
	STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
	invariant(list && sk_X509_EXTENSION_push(list, e) > 0);
	bool added = X509_REQ_add_extensions(csr, list) == 1;
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	return added ? NULL : fault_openssl(FAULT_INTERNAL, "names of a certificate request");
}

static struct fault *refuse_name(const char *common_name)
{
	AUTO(mem_freep) char *safe = text_escaped(common_name);
	return fault_openssl(FAULT_INVALID, "\"%.200s\" is no common name", safe);
}

static struct fault *make_csr(EVP_PKEY *key, const struct san_set *sans, const char *common_name, X509_REQ **ret)
{
	X509_REQ *csr = X509_REQ_new();
	struct fault *f = NULL;
	if (!csr || X509_REQ_set_version(csr, X509_REQ_VERSION_1) != 1 || X509_REQ_set_pubkey(csr, key) != 1)
		f = fault_openssl(FAULT_INTERNAL, "certificate request");
	if (!f && common_name &&
		X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(csr), "CN", MBSTRING_UTF8,
			(const unsigned char *)common_name, -1, -1, 0) != 1)
		f = refuse_name(common_name);
	if (!f)
		f = add_sans(csr, sans, common_name == NULL);
	if (!f && X509_REQ_sign(csr, key, EVP_sha256()) <= 0)
		f = fault_openssl(FAULT_INTERNAL, "signing a certificate request");
	if (f)
		X509_REQ_free(csr);
	else
		*ret = csr;
	return f;
}

static void work(void *arg)
{
	struct keygen *k = arg;
	k->fault = keygen_key(k->type, &k->key);
	if (!k->fault)
		k->fault = make_csr(k->key, &k->sans, k->common_name, &k->csr);
	if (k->fault) {
		EVP_PKEY_free(k->key);
		k->key = NULL;
	}
}

static void finish(void *arg)
{
	struct keygen *k = arg;
	k->done(k->arg, k->fault, k->key, k->csr);
	san_set_free(&k->sans);
	free(k->common_name);
	free(k);
}

void keygen_run(struct jobs *jobs, enum key_type type, const struct san_set *sans, const char *common_name,
	keygen_fn *done, void *arg)
{
	struct keygen *k = mem_new(struct keygen);
	k->type = type;
	san_set_copy(sans, &k->sans);
	k->common_name = mem_strdup(common_name);
	k->done = done;
	k->arg = arg;
	jobs_run(jobs, key_type_is_slow(type), work, finish, k);
}
