#include "http_server.h"
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/anchors.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/table.h"

enum { REQUEST_MAX = 1024 * 1024 };

struct peer {
	struct peer *next;
	pthread_t thread;
	struct http_server *server;
	int fd;
	SSL *ssl;
	struct buf in;
};

struct http_server {
	struct http_server_options o;
	SSL_CTX *tls;
	int listener, stop[2];
	unsigned port;
	char *url;
	pthread_t thread;
	struct peer *peers;
	pthread_mutex_t lock; /* the test's function */
	atomic_size_t requests, connections;
};

/* True when fd is ready, false when the server ends. */
static bool wait_for(const struct http_server *s, int fd, short events)
{
	struct pollfd p[2] = {{fd, events, 0}, {s->stop[0], POLLIN, 0}};
	while (poll(p, 2, -1) < 0)
		;
	return !p[1].revents;
}

static int ready_for(const struct peer *p, int rc)
{
	return SSL_get_error(p->ssl, rc) == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN;
}

static bool tls_wants(const struct peer *p, int rc)
{
	int e = SSL_get_error(p->ssl, rc);
	return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE;
}

static bool handshake(struct peer *p)
{
	int rc;
	while ((rc = SSL_accept(p->ssl)) != 1)
		if (!tls_wants(p, rc) || !wait_for(p->server, p->fd, (short)ready_for(p, rc)))
			return false;
	return true;
}

/* Bytes read, 0 at the end of the connection or the server. */
static size_t receive(struct peer *p, char *bytes, size_t size)
{
	for (;;) {
		if (!p->ssl) {
			if (!wait_for(p->server, p->fd, POLLIN))
				return 0;
			ssize_t n = recv(p->fd, bytes, size, 0);
			return n > 0 ? (size_t)n : 0;
		}
		int rc = SSL_read(p->ssl, bytes, (int)size);
		if (rc > 0)
			return (size_t)rc;
		if (!tls_wants(p, rc) || !wait_for(p->server, p->fd, (short)ready_for(p, rc)))
			return 0;
	}
}

static bool transmit(struct peer *p, const unsigned char *bytes, size_t len)
{
	while (len > 0) {
		int rc;
		if (p->ssl) {
			rc = SSL_write(p->ssl, bytes, (int)len);
			if (rc <= 0 && (!tls_wants(p, rc) || !wait_for(p->server, p->fd, (short)ready_for(p, rc))))
				return false;
		} else {
			if (!wait_for(p->server, p->fd, POLLOUT))
				return false;
			rc = (int)send(p->fd, bytes, len, MSG_NOSIGNAL);
			if (rc <= 0)
				return false;
		}
		if (rc > 0) {
			bytes += rc;
			len -= (size_t)rc;
		}
	}
	return true;
}

static size_t content_length(const char *head)
{
	const char *at = strcasestr(head, "\r\ncontent-length:");
	return at ? strtoul(at + strlen("\r\ncontent-length:"), NULL, 10) : 0;
}

/* One whole request at the front of p->in: its length and that of its head; 0: the client left. */
static size_t read_request(struct peer *p, size_t *ret_head)
{
	char bytes[16384];
	for (;;) {
		const char *text = buf_text(&p->in), *end = strstr(text, "\r\n\r\n");
		if (end) {
			*ret_head = (size_t)(end - text) + 4;
			char *head = mem_strndup(text, *ret_head);
			size_t whole = *ret_head + content_length(head);
			free(head);
			if (p->in.len >= whole)
				return whole;
		}
		size_t n = p->in.len < REQUEST_MAX ? receive(p, bytes, sizeof bytes) : 0;
		if (n == 0)
			return 0;
		buf_add(&p->in, bytes, n);
	}
}

static char *client_uri(const struct peer *p)
{
	X509 *cert = p->ssl ? SSL_get1_peer_certificate(p->ssl) : NULL;
	GENERAL_NAMES *names = cert ? X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL) : NULL;
	char *uri = NULL;
	for (int i = 0; !uri && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		if (n->type == GEN_URI)
			uri = mem_strndup((const char *)ASN1_STRING_get0_data(n->d.uniformResourceIdentifier),
				(size_t)ASN1_STRING_length(n->d.uniformResourceIdentifier));
	}
	GENERAL_NAMES_free(names);
	X509_free(cert);
	return uri;
}

static enum http_act ask(struct peer *p, size_t head_len, size_t whole, struct buf *reply)
{
	struct http_server *s = p->server;
	char *head = mem_strndup(buf_text(&p->in), head_len);
	char *body = mem_strndup(buf_text(&p->in) + head_len, whole - head_len);
	char *uri = client_uri(p), *line = mem_strndup(head, strcspn(head, "\r")), *rest = NULL;
	const char *method = strtok_r(line, " ", &rest), *path = strtok_r(NULL, " ", &rest);
	invariant(pthread_mutex_lock(&s->lock) == 0);
	const struct http_seen seen = {method ? method : "", path ? path : "", head, body, whole - head_len, uri,
		atomic_fetch_add(&s->requests, 1) + 1};
	enum http_act act = s->o.fn(s->o.arg, &seen, reply);
	invariant(pthread_mutex_unlock(&s->lock) == 0);
	free(head);
	free(body);
	free(line);
	free(uri);
	return act;
}

static void converse(struct peer *p)
{
	enum http_act act = HTTP_ACT_REPLY;
	size_t head, whole;
	while (act == HTTP_ACT_REPLY && (whole = read_request(p, &head)) > 0) {
		struct buf reply = BUF_INIT;
		act = ask(p, head, whole, &reply);
		struct buf rest = BUF_INIT;
		buf_add(&rest, p->in.data + whole, p->in.len - whole);
		buf_free(&p->in);
		p->in = rest;
		bool sent = transmit(p, reply.data, reply.len);
		buf_free(&reply);
		if (!sent)
			return;
	}
	char drop[4096];
	while (act == HTTP_ACT_HANG && receive(p, drop, sizeof drop) > 0)
		;
}

static void *peer_main(void *arg)
{
	struct peer *p = arg;
	if (!p->ssl || handshake(p))
		converse(p);
	if (p->ssl)
		(void)SSL_shutdown(p->ssl);
	(void)shutdown(p->fd, SHUT_RDWR);
	ERR_clear_error();
	return NULL;
}

static void *server_main(void *arg)
{
	struct http_server *s = arg;
	while (wait_for(s, s->listener, POLLIN)) {
		int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		struct peer *p = mem_new(struct peer);
		p->server = s;
		p->fd = fd;
		if (s->tls) {
			p->ssl = SSL_new(s->tls);
			invariant(p->ssl && SSL_set_fd(p->ssl, fd) == 1);
		}
		LL_PREPEND(s->peers, p);
		atomic_fetch_add(&s->connections, 1);
		invariant(pthread_create(&p->thread, NULL, peer_main, p) == 0);
	}
	return NULL;
}

static void make_tls(struct http_server *s)
{
	struct secret *key = NULL;
	s->tls = SSL_CTX_new(TLS_server_method());
	STACK_OF(X509) *chain = credential_chain(s->o.certificate);
	invariant(SSL_CTX_use_certificate(s->tls, sk_X509_value(chain, 0)) == 1);
	for (int i = 1; i < sk_X509_num(chain); i++)
		invariant(SSL_CTX_add1_chain_cert(s->tls, sk_X509_value(chain, i)) == 1);
	invariant(!credential_key_pem(s->o.certificate, &key));
	BIO *bio = BIO_new_mem_buf(secret_bytes(key, NULL), -1);
	EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	invariant(pkey && SSL_CTX_use_PrivateKey(s->tls, pkey) == 1);
	EVP_PKEY_free(pkey);
	BIO_free(bio);
	secret_free(key);
	SSL_CTX_set_options(s->tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
	if (!s->o.clients)
		return;
	for (size_t i = 0; i < anchors_count(s->o.clients); i++)
		invariant(X509_STORE_add_cert(SSL_CTX_get_cert_store(s->tls), anchors_cert(s->o.clients, i)) == 1);
	SSL_CTX_set_verify(s->tls, SSL_VERIFY_PEER, NULL);
}

static void bind_unix(struct http_server *s)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	invariant(strlen(s->o.unix_path) < sizeof at.sun_path);
	memcpy(at.sun_path, s->o.unix_path, strlen(s->o.unix_path));
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	invariant(bind(s->listener, (struct sockaddr *)&at, sizeof at) == 0);
	s->url = mem_strdup("http://localhost");
}

static void bind_loopback(struct http_server *s)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof at;
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	invariant(bind(s->listener, (struct sockaddr *)&at, size) == 0);
	invariant(getsockname(s->listener, (struct sockaddr *)&at, &size) == 0);
	s->port = ntohs(at.sin_port);
	s->url = mem_printf("%s://localhost:%u", s->o.certificate ? "https" : "http", s->port);
}

struct http_server *http_server_new(const struct http_server_options *o)
{
	struct http_server *s = mem_new(struct http_server);
	s->o = *o;
	(void)signal(SIGPIPE, SIG_IGN);
	if (o->certificate) {
		s->o.certificate = credential_ref(o->certificate);
		make_tls(s);
	}
	if (o->unix_path)
		bind_unix(s);
	else
		bind_loopback(s);
	invariant(listen(s->listener, 64) == 0 && pipe(s->stop) == 0);
	invariant(pthread_mutex_init(&s->lock, NULL) == 0);
	invariant(pthread_create(&s->thread, NULL, server_main, s) == 0);
	return s;
}

unsigned http_server_port(const struct http_server *s)
{
	return s->port;
}

const char *http_server_url(const struct http_server *s)
{
	return s->url;
}

size_t http_server_requests(const struct http_server *s)
{
	return atomic_load(&s->requests);
}

size_t http_server_connections(const struct http_server *s)
{
	return atomic_load(&s->connections);
}

void http_server_free(struct http_server *s)
{
	invariant(close(s->stop[1]) == 0);
	invariant(pthread_join(s->thread, NULL) == 0);
	for (struct peer *p = s->peers, *next; p; p = next) {
		next = p->next;
		invariant(pthread_join(p->thread, NULL) == 0);
		SSL_free(p->ssl);
		(void)close(p->fd);
		buf_free(&p->in);
		free(p);
	}
	(void)close(s->listener);
	(void)close(s->stop[0]);
	pthread_mutex_destroy(&s->lock);
	SSL_CTX_free(s->tls);
	credential_unref(s->o.certificate);
	free(s->url);
	free(s);
}

void http_server_reply(struct buf *b, int status, const char *type, const char *body)
{
	buf_printf(b, "HTTP/1.1 %d Status\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s", status, type,
		strlen(body), body);
}
