/* ca-client/builtin_given.c - a CA that the operator gave: certificate file and key file, checked before they are used.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/io/file.h"
#include "base/mem.h"
#include "base/pem.h"
#include "base/pkcs8.h"
#include "ca-client/builtin_hierarchy.h"

#define FILE_MAX ((size_t)256 * 1024)
#define PASSWORD_FILE_MAX ((size_t)1024)
enum { CHAIN_MAX = 8 };

/* The first line, without its end. */
static struct fault *read_password(const char *path, struct buf *ret)
{
	TRY(file_read(path, PASSWORD_FILE_MAX, ret));
	buf_truncate(ret, strcspn(buf_text(ret), "\r\n"));
	return NULL;
}

static struct fault *read_key(const struct builtin_options *o, EVP_PKEY **ret)
{
	struct buf pem = BUF_SECRET_INIT, password = BUF_SECRET_INIT;
	size_t count;
	struct fault *f = file_read(o->key_file, FILE_MAX, &pem);
	if (!f && o->key_password_file)
		f = read_password(o->key_password_file, &password);
	if (!f) {
		f = pem_read_keys(pem.data, pem.len, o->key_password_file ? buf_text(&password) : NULL, ret, 1, &count);
		if (f)
			f = fault_wrap(f, "%s", o->key_file);
	}
	buf_free(&pem);
	buf_free(&password);
	return f;
}

static struct fault *read_certs(const char *path, STACK_OF(X509) * certs)
{
	struct buf pem = BUF_INIT;
	struct fault *f = file_read(path, FILE_MAX, &pem);
	if (!f) {
		f = pem_read_certs(pem.data, pem.len, CHAIN_MAX, certs);
		if (f)
			f = fault_wrap(f, "%s", path);
	}
	buf_free(&pem);
	return f;
}

static struct fault *check(const struct builtin_options *o, STACK_OF(X509) * certs, EVP_PKEY *key)
{
	X509 *issuer = sk_X509_value(certs, 0);
	if (X509_check_private_key(issuer, key) != 1)
		return fault_openssl(FAULT_INVALID, "the key in %s is not the one of the first certificate in %s",
			o->key_file, o->certificate_file);
	TRY(pkcs8_check_pair(key));
	if (X509_check_ca(issuer) != 1)
		return fault_new(FAULT_INVALID,
			"the first certificate in %s may not sign others (CA:TRUE and keyCertSign are needed)",
			o->certificate_file);
	for (int i = 1; i < sk_X509_num(certs); i++)
		if (!hierarchy_has_issued(sk_X509_value(certs, i), sk_X509_value(certs, i - 1)))
			return fault_new(FAULT_INVALID, "certificate %d in %s did not issue the one before it", i + 1,
				o->certificate_file);
	ERR_clear_error();
	return NULL;
}

struct fault *hierarchy_from_files(const struct builtin_options *o, struct hierarchy **ret)
{
	EVP_PKEY *key = NULL;
	STACK_OF(X509) *certs = sk_X509_new_null();
	invariant(certs);
	struct fault *f = read_certs(o->certificate_file, certs);
	if (!f)
		f = read_key(o, &key);
	if (!f)
		f = check(o, certs, key);
	if (!f) {
		X509 *issuer = sk_X509_shift(certs);
		return hierarchy_take(issuer, key, certs, true, ret);
	}
	EVP_PKEY_free(key);
	sk_X509_pop_free(certs, X509_free);
	return f;
}
