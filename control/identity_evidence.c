/* control/identity_evidence.c - evidence about a peer judged into an identity. A unix peer is what the kernel says; of
 * a client certificate everything is verified again, for the handshake does not tell which authority it led to. */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include "base/anchors.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/io/evidence.h"
#include "base/mem.h"
#include "control/identity.h"

/* A client's chain: bounds on what is parsed for somebody who has proven nothing yet. */
enum { CHAIN_MAX = 16 };
#define CHAIN_PEM_MAX ((size_t)128 * 1024)

static void free_certs(STACK_OF(X509) * *certs)
{
	sk_X509_pop_free(*certs, X509_free);
	*certs = NULL;
}

static void bio_freep(BIO **b)
{
	BIO_free(*b);
	*b = NULL;
}

/* Append every certificate of some PEM. */
static struct fault *add_certs(const char *pem, size_t len, STACK_OF(X509) * certs)
{
	if (len > CHAIN_PEM_MAX)
		return fault_new(FAULT_DENIED, "the client's certificates are longer than %zu bytes", CHAIN_PEM_MAX);
	AUTO(bio_freep) BIO *in = BIO_new_mem_buf(len ? pem : "", (int)len);
	invariant(in);
	for (X509 *cert; (cert = PEM_read_bio_X509(in, NULL, NULL, NULL));) {
		if (sk_X509_num(certs) == CHAIN_MAX) {
			X509_free(cert);
			return fault_new(FAULT_DENIED, "the client sent more than %d certificates", CHAIN_MAX);
		}
		invariant(sk_X509_push(certs, cert) > 0);
	}
	ERR_clear_error(); /* the end of the text reads as an error */
	return NULL;
}

static struct fault *read_chain(const struct evidence *e, STACK_OF(X509) * certs)
{
	TRY(add_certs(e->leaf_pem, e->leaf_pem_len, certs));
	if (sk_X509_num(certs) != 1)
		return fault_new(FAULT_DENIED, "the client's certificate cannot be read");
	return e->chain_pem_len ? add_certs(e->chain_pem, e->chain_pem_len, certs) : NULL;
}

/* The first authority whose anchors the chain leads to. The handshake verified it against all of them together, and at
 * its own time: which one it was decides what rules match. */
static struct fault *find_authority(
	const struct client_trust *trust, size_t trust_count, STACK_OF(X509) * chain, int64_t now_ms, const char **ret)
{
	struct fault *first = NULL;
	for (size_t k = 0; k < trust_count; k++) {
		if (!trust[k].anchors)
			continue;
		struct fault *f = anchors_verify(trust[k].anchors, chain, X509_PURPOSE_SSL_CLIENT, now_ms);
		if (!f) {
			fault_free(first);
			*ret = trust[k].authority;
			return NULL;
		}
		if (first)
			fault_free(f);
		else
			first = f;
	}
	struct fault *denied =
		fault_new(FAULT_DENIED, "the client's certificate leads to no authority that clients may have: %s",
			first ? fault_text(first) : "none is ready");
	fault_free(first);
	return denied;
}

static struct fault *judge_leaf(const struct cert_info *info, int64_t now_ms)
{
	if (info->not_after_ms <= now_ms)
		return fault_new(FAULT_DENIED, "the client's certificate (SHA-256 %s) has expired", info->sha256);
	if (info->not_before_ms > now_ms)
		return fault_new(FAULT_DENIED, "the client's certificate (SHA-256 %s) is not valid yet", info->sha256);
	if (info->sans.count == 0)
		return fault_new(FAULT_DENIED,
			"the client's certificate (SHA-256 %s) has no SAN that could say who it is", info->sha256);
	return NULL;
}

static struct fault *from_tls(const struct evidence *e, const struct client_trust *trust, size_t trust_count,
	int64_t now_ms, struct identity **ret)
{
	AUTO(free_certs) STACK_OF(X509) *chain = sk_X509_new_null();
	const char *authority = NULL;
	struct cert_info info;
	invariant(chain);
	TRY(read_chain(e, chain));
	struct fault *f = cert_info_read(sk_X509_value(chain, 0), &info);
	if (f) {
		struct fault *denied = fault_new(FAULT_DENIED, "the client's certificate: %s", fault_text(f));
		fault_free(f);
		return denied;
	}
	f = judge_leaf(&info, now_ms);
	if (!f)
		f = find_authority(trust, trust_count, chain, now_ms, &authority);
	if (!f)
		*ret = identity_new_tls(&info.sans, authority, info.not_after_ms);
	cert_info_free(&info);
	return f;
}

struct fault *identity_from_evidence(const struct evidence *e, const struct client_trust *trust, size_t trust_count,
	int64_t now_ms, struct identity **ret)
{
	if (e->kind == EVIDENCE_TLS)
		return from_tls(e, trust, trust_count, now_ms, ret);
	if (e->kind != EVIDENCE_UNIX)
		return fault_new(FAULT_DENIED, "nothing is proven about the caller");
	*ret = identity_new_unix(e->uid, e->gid, e->pid);
	return NULL;
}
