#include "base/io/http.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/anchors.h"
#include "base/clock.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/table.h"
#include "base/text.h"
#include "base/wiping.h"

/* Idle connections kept, in all. */
enum { IDLE_CONNECTIONS = 8 };
#define CONNECT_TIMEOUT_MS (INT64_C(10) * MS_PER_S)

struct http {
	struct loop *loop;
	CURLM *multi;
	struct timer *timer; /* curl's */
	struct timer *turn;
	struct http_call *ending; /* LL: cancelled, or never begun; completed in the next turn */
	size_t running;
};

struct http_call {
	struct http_call *next; /* in http.ending */
	struct http *http;
	CURL *easy; /* NULL once it is ending */
	struct fault *fault;
	http_done_fn *done;
	void *arg;
	struct http_answer answer;
	size_t answer_max;
	bool too_large, loopback_only;
	bool not_loopback; /* it would have left this machine in the clear */
	struct curl_slist *headers;
	struct credential *client;
	struct secret *client_key;
	char error[CURL_ERROR_SIZE];
};

/* One per socket of curl; freed in its close callback. */
struct watched {
	uv_poll_t poll;
	struct http *http;
	curl_socket_t fd;
};

static void release(struct http_call *c)
{
	if (c->easy)
		curl_easy_cleanup(c->easy);
	curl_slist_free_all(c->headers);
	credential_unref(c->client);
	secret_free(c->client_key);
	buf_free(&c->answer.body);
	free(c);
}

/* Ends c: its one completion. */
static void complete(struct http_call *c, struct fault *f)
{
	c->http->running--;
	c->done(c->arg, f, f ? NULL : &c->answer);
	release(c);
}

static void end_later(struct http_call *c, struct fault *f)
{
	c->fault = f;
	LL_APPEND(c->http->ending, c);
	timer_start(c->http->turn, 0);
}

/* --- what curl tells us --- */

static size_t on_data(char *bytes, size_t size, size_t count, void *arg)
{
	struct http_call *c = arg;
	size_t len = size * count;
	if (len > c->answer_max - c->answer.body.len) {
		c->too_large = true;
		return 0;
	}
	buf_add(&c->answer.body, bytes, len);
	return len;
}

static bool is_loopback(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24 == 127;
	if (a->sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
	return a->sa_family == AF_UNIX;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct http_call *c = arg;
	if (purpose != CURLSOCKTYPE_IPCXN)
		return CURL_SOCKET_BAD;
	if (c->loopback_only && !is_loopback(&a->addr)) {
		c->not_loopback = true;
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static bool is_tls_failure(CURLcode rc)
{
	return rc == CURLE_PEER_FAILED_VERIFICATION || rc == CURLE_SSL_CONNECT_ERROR || rc == CURLE_SSL_ISSUER_ERROR ||
	       rc == CURLE_SSL_CERTPROBLEM;
}

static struct fault *fault_of(const struct http_call *c, CURLcode rc)
{
	const char *why = *c->error ? c->error : curl_easy_strerror(rc);
	if (c->too_large)
		return fault_new(FAULT_CORRUPT, "the answer has more than %zu bytes", c->answer_max);
	if (c->not_loopback)
		return fault_new(
			FAULT_INVALID, "plain http is for loopback alone, and the host is elsewhere; use https");
	AUTO(mem_freep) char *text = text_escaped(why);
	if (rc == CURLE_OPERATION_TIMEDOUT)
		return fault_set_retryable(fault_new(FAULT_TIMEOUT, "%s", text), -1);
	/* the URL was checked: what is unsupported is what came back (HTTP/0.9) */
	if (rc == CURLE_UNSUPPORTED_PROTOCOL || rc == CURLE_WEIRD_SERVER_REPLY || rc == CURLE_HTTP2 ||
		rc == CURLE_BAD_CONTENT_ENCODING)
		return fault_new(FAULT_CORRUPT, "%s", text);
	return fault_set_retryable(fault_new(FAULT_UNAVAILABLE, "%s%s", is_tls_failure(rc) ? "TLS: " : "", text), -1);
}

static void read_head(struct http_call *c)
{
	long status = 0;
	curl_off_t wait = 0;
	const char *type = NULL;
	(void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &wait);
	(void)curl_easy_getinfo(c->easy, CURLINFO_CONTENT_TYPE, &type);
	(void)curl_easy_getinfo(c->easy, CURLINFO_REDIRECT_URL, &c->answer.location);
	c->answer.status = (int)status;
	c->answer.retry_after_ms = wait > 0 && wait < MS_PER_DAY / MS_PER_S ? (int64_t)wait * MS_PER_S : -1;
	(void)snprintf(c->answer.content_type, sizeof c->answer.content_type, "%s", type ? type : "");
}

static void collect(struct http *h)
{
	int left;
	for (CURLMsg *m; (m = curl_multi_info_read(h->multi, &left)) != NULL;) {
		if (m->msg != CURLMSG_DONE)
			continue;
		struct http_call *c = NULL;
		CURLcode rc = m->data.result;
		(void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &c);
		if (rc == CURLE_OK)
			read_head(c);
		(void)curl_multi_remove_handle(h->multi, c->easy);
		complete(c, rc == CURLE_OK ? NULL : fault_of(c, rc));
	}
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct watched *w = poll->data;
	struct http *h = w->http;
	int running, what = status < 0 ? CURL_CSELECT_ERR : 0;
	what |= (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
	(void)curl_multi_socket_action(h->multi, w->fd, what, &running);
	collect(h);
}

static void on_watched_closed(uv_handle_t *u)
{
	free(u->data);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct http *h = arg;
	struct watched *w = socket_arg;
	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w) {
			(void)uv_poll_stop(&w->poll);
			uv_close((uv_handle_t *)&w->poll, on_watched_closed);
			(void)curl_multi_assign(h->multi, fd, NULL);
		}
		return 0;
	}
	if (!w) {
		w = mem_new(struct watched);
		w->http = h;
		w->fd = fd;
		if (uv_poll_init_socket(loop_uv(h->loop), &w->poll, fd) != 0) {
			free(w);
			return -1;
		}
		w->poll.data = w;
		(void)curl_multi_assign(h->multi, fd, w);
	}
	int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
	return uv_poll_start(&w->poll, events, on_poll) == 0 ? 0 : -1;
}

static int on_timer_wanted(CURLM *multi, long after_ms, void *arg)
{
	struct http *h = arg;
	(void)multi;
	if (after_ms < 0)
		timer_stop(h->timer);
	else
		timer_start(h->timer, after_ms);
	return 0;
}

static void on_timer(void *arg)
{
	struct http *h = arg;
	int running;
	(void)curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(h);
}

static void on_turn(void *arg)
{
	struct http *h = arg;
	struct http_call *c = h->ending, *next;
	for (h->ending = NULL; c; c = next) {
		next = c->next;
		complete(c, c->fault);
	}
}

/* --- requests --- */

struct http *http_new(struct loop *loop)
{
	struct http *h = mem_new(struct http);
	invariant(curl_global_init_mem(CURL_GLOBAL_DEFAULT, wiping_malloc, wiping_free, wiping_realloc, wiping_strdup,
			  wiping_calloc) == CURLE_OK);
	h->loop = loop;
	h->timer = timer_new(loop, on_timer, h);
	h->turn = timer_new(loop, on_turn, h);
	h->multi = curl_multi_init();
	invariant(h->multi);
	(void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	(void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	(void)curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
	(void)curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	(void)curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS);
	return h;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	invariant(h->running == 0);
	(void)curl_multi_cleanup(h->multi);
	curl_global_cleanup();
	timer_free(h->timer);
	timer_free(h->turn);
	free(h);
}

size_t http_running(const struct http *h)
{
	return h->running;
}

static void set_basics(struct http_call *c, const struct http_request *r)
{
	CURL *e = c->easy;
	(void)curl_easy_setopt(e, CURLOPT_PRIVATE, c);
	(void)curl_easy_setopt(e, CURLOPT_URL, r->url);
	(void)curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(e, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
	(void)curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	(void)curl_easy_setopt(e, CURLOPT_ERRORBUFFER, c->error);
	(void)curl_easy_setopt(e, CURLOPT_USERAGENT, "leafcast/" LEAFCAST_VERSION);
	(void)curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	(void)curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, c);
	(void)curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_data);
	(void)curl_easy_setopt(e, CURLOPT_WRITEDATA, c);
	if (r->unix_socket)
		(void)curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, r->unix_socket);
}

static void set_body(struct http_call *c, const struct http_request *r)
{
	CURL *e = c->easy;
	if (r->body) {
		(void)curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
		(void)curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, r->body);
	}
	(void)curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r->method);
	c->headers = curl_slist_append(NULL, "Expect:");
	for (size_t i = 0; i < HTTP_HEADERS_MAX && r->headers[i].name; i++) {
		struct buf line = BUF_SECRET_INIT;
		buf_printf(&line, "%s: %s", r->headers[i].name, r->headers[i].value);
		c->headers = curl_slist_append(c->headers, buf_text(&line));
		buf_free(&line);
	}
	(void)curl_easy_setopt(e, CURLOPT_HTTPHEADER, c->headers);
}

/* libcurl keeps the system's roots in force beside those given unless CAPATH is taken away. */
static struct fault *set_roots(struct http_call *c, const struct http_request *r)
{
	if (r->any_server) {
		(void)curl_easy_setopt(c->easy, CURLOPT_SSL_VERIFYPEER, 0L);
		(void)curl_easy_setopt(c->easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (!r->roots)
		return NULL;
	struct buf pem = BUF_INIT;
	anchors_pem(r->roots, &pem);
	struct curl_blob blob = {pem.data, pem.len, CURL_BLOB_COPY};
	CURLcode rc = curl_easy_setopt(c->easy, CURLOPT_CAPATH, NULL);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(c->easy, CURLOPT_CAINFO_BLOB, &blob);
	buf_free(&pem);
	return rc == CURLE_OK ? NULL : fault_new(FAULT_INTERNAL, "libcurl takes no roots: %s", curl_easy_strerror(rc));
}

static struct fault *set_client(struct http_call *c, const struct http_request *r)
{
	if (!r->client)
		return NULL;
	c->client = credential_ref(r->client);
	TRY(credential_key_pem(c->client, &c->client_key));
	struct buf pem = BUF_INIT;
	credential_chain_pem(c->client, &pem);
	struct curl_blob chain = {pem.data, pem.len, CURL_BLOB_COPY}, key = {.flags = CURL_BLOB_NOCOPY};
	union {
		const unsigned char *in;
		void *out;
	} bytes = {secret_bytes(c->client_key, &key.len)};
	key.data = bytes.out; /* curl only reads it */
	CURLcode rc = curl_easy_setopt(c->easy, CURLOPT_SSLCERT_BLOB, &chain);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(c->easy, CURLOPT_SSLKEY_BLOB, &key);
	buf_free(&pem);
	return rc == CURLE_OK
		       ? NULL
		       : fault_new(FAULT_INTERNAL, "libcurl takes no client certificate: %s", curl_easy_strerror(rc));
}

static struct fault *begin(struct http_call *c, const struct http_request *r)
{
	TRY(http_check_url(r->url, r->unix_socket));
	c->easy = curl_easy_init();
	if (!c->easy)
		return fault_new(FAULT_INTERNAL, "libcurl cannot start");
	c->loopback_only = !r->unix_socket && strncasecmp(r->url, "http:", 5) == 0;
	set_basics(c, r);
	set_body(c, r);
	TRY(set_roots(c, r));
	TRY(set_client(c, r));
	invariant(curl_multi_add_handle(c->http->multi, c->easy) == CURLM_OK);
	return NULL;
}

struct http_call *http_start(struct http *h, const struct http_request *r, http_done_fn *done, void *arg)
{
	loop_assert(h->loop);
	struct http_call *c = mem_new(struct http_call);
	c->http = h;
	c->done = done;
	c->arg = arg;
	c->answer.body.wipe = true;
	c->answer.retry_after_ms = -1;
	c->answer_max = r->answer_max && r->answer_max < HTTP_ANSWER_MAX ? r->answer_max : HTTP_ANSWER_MAX;
	h->running++;
	struct fault *f = begin(c, r);
	if (f)
		end_later(c, f);
	return c;
}

void http_cancel(struct http_call *c)
{
	loop_assert(c->http->loop);
	if (c->fault)
		return;
	(void)curl_multi_remove_handle(c->http->multi, c->easy);
	end_later(c, fault_new(FAULT_UNAVAILABLE, "cancelled"));
}
