/* Requests to authorities against a server that does as it is told: what is verified, what is bounded, and that there
 * is exactly one completion whatever happens. */
#include "base/io/http.h"
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/anchors.h"
#include "base/clock.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/mem.h"
#include "certs.h"
#include "http_server.h"

struct rig {
	struct loop *loop;
	struct http *http;
	struct anchors *roots, *strangers;
	struct credential *server_leaf, *client;
	struct http_server *server;
	/* what the server does */
	enum http_act act;
	const char *reply; /* NULL: 200 with what it saw */
	/* what came of it */
	int completions;
	struct fault *fault;
	int status;
	struct buf body;
	int64_t retry_after_ms;
};

static struct anchors *set_of(X509 *root)
{
	struct anchors *a = NULL;
	STACK_OF(X509) *certs = sk_X509_new_null();
	sk_X509_push(certs, root);
	expect_ok(anchors_new(certs, &a));
	sk_X509_free(certs);
	return a;
}

static struct credential *leaf_of(X509 *root, enum certs_key key, const char *san)
{
	struct credential *c = NULL;
	const struct certs_spec spec = {.key = key,
		.issuer = root,
		.issuer_key = CERTS_ROOT,
		.san = san,
		.constraints = "critical,CA:FALSE",
		.usage = "critical,digitalSignature",
		.extended = "serverAuth,clientAuth"};
	X509 *leaf = certs_make(&spec);
	STACK_OF(X509) *chain = sk_X509_new_null();
	sk_X509_push(chain, leaf);
	expect_ok(credential_new(chain, certs_key(key), &c));
	sk_X509_free(chain);
	X509_free(leaf);
	return c;
}

static enum http_act serve(void *arg, const struct http_seen *r, struct buf *reply)
{
	struct rig *rig = arg;
	if (rig->reply) {
		buf_add_text(reply, rig->reply);
		return rig->act;
	}
	char *seen = mem_printf("%s %s %s [%s]", r->method, r->path, r->client_uri ? r->client_uri : "-", r->body);
	http_server_reply(reply, 200, "text/plain", seen);
	free(seen);
	return rig->act;
}

static int setup(void **state)
{
	struct rig *r = mem_new(struct rig);
	X509 *root = certs_root(CERTS_ROOT, "root"), *stranger = certs_root(CERTS_STRANGER, "stranger");
	expect_ok(loop_new(clock_system(), &r->loop));
	r->http = http_new(r->loop);
	r->roots = set_of(root);
	r->strangers = set_of(stranger);
	r->server_leaf = leaf_of(root, CERTS_LEAF, "DNS:localhost");
	r->client = leaf_of(root, CERTS_OTHER, "URI:spiffe://test/client");
	X509_free(root);
	X509_free(stranger);
	r->server = http_server_new(&(struct http_server_options){
		.certificate = r->server_leaf, .clients = r->roots, .fn = serve, .arg = r});
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;
	if (r->server)
		http_server_free(r->server);
	http_free(r->http);
	while (loop_turn(r->loop, false))
		;
	loop_free(r->loop);
	anchors_unref(r->roots);
	anchors_unref(r->strangers);
	credential_unref(r->server_leaf);
	credential_unref(r->client);
	fault_free(r->fault);
	buf_free(&r->body);
	free(r);
	return 0;
}

static void on_done(void *arg, struct fault *f, const struct http_answer *a)
{
	struct rig *r = arg;
	r->completions++;
	fault_free(r->fault);
	r->fault = f;
	if (a) {
		r->status = a->status;
		r->retry_after_ms = a->retry_after_ms;
		buf_free(&r->body);
		buf_add(&r->body, a->body.data, a->body.len);
	}
}

static struct http_request request(const struct rig *r, const char *path, char **ret_url)
{
	*ret_url = mem_printf("%s%s", http_server_url(r->server), path);
	return (struct http_request){.method = "GET", .url = *ret_url, .roots = r->roots, .timeout_ms = 10000};
}

static void run(struct rig *r, const struct http_request *q)
{
	int before = r->completions;
	(void)http_start(r->http, q, on_done, r);
	assert_int_equal(r->completions, before); /* never from within */
	while (r->completions == before)
		loop_turn(r->loop, true);
	assert_int_equal(r->completions, before + 1);
	assert_int_equal(http_running(r->http), 0);
}

static void expect_failure(
	struct rig *r, const struct http_request *q, enum fault_code code, bool retry, const char *part)
{
	run(r, q);
	assert_non_null(r->fault);
	if (fault_code(r->fault) != code || !strstr(fault_text(r->fault), part))
		fail_msg("%s: %s", fault_code_name(fault_code(r->fault)), fault_text(r->fault));
	assert_int_equal(fault_is_retryable(r->fault), retry);
}

static void test_get_and_post(void **state)
{
	struct rig *r = *state;
	AUTO(mem_freep) char *url = NULL;
	struct http_request q = request(r, "/v1/x", &url);
	run(r, &q);
	assert_null(r->fault);
	assert_int_equal(r->status, 200);
	assert_string_equal(buf_text(&r->body), "GET /v1/x - []");
	q.method = "POST";
	q.body = "{\"a\":1}";
	q.body_len = 7;
	q.client = r->client;
	run(r, &q);
	assert_null(r->fault);
	assert_string_equal(buf_text(&r->body), "POST /v1/x spiffe://test/client [{\"a\":1}]");
}

/* A connection that was made with one client's certificate is not used for a request without. */
static void test_connection_belongs_to_its_client(void **state)
{
	struct rig *r = *state;
	AUTO(mem_freep) char *url = NULL;
	struct http_request q = request(r, "/", &url);
	q.client = r->client;
	run(r, &q);
	run(r, &q);
	assert_int_equal(http_server_connections(r->server), 1);
	q.client = NULL;
	run(r, &q);
	assert_null(r->fault);
	assert_string_equal(buf_text(&r->body), "GET / - []");
	assert_int_equal(http_server_connections(r->server), 2);
}

static void test_server_is_verified(void **state)
{
	struct rig *r = *state;
	AUTO(mem_freep) char *url = NULL;
	struct http_request q = request(r, "/", &url);
	q.roots = r->strangers;
	expect_failure(r, &q, FAULT_UNAVAILABLE, true, "TLS: ");
	q.roots = NULL; /* the system does not know it either */
	expect_failure(r, &q, FAULT_UNAVAILABLE, true, "TLS: ");
	q.roots = r->roots;
	AUTO(mem_freep) char *other = mem_printf("https://127.0.0.1:%u/", http_server_port(r->server));
	q.url = other; /* not in its certificate */
	expect_failure(r, &q, FAULT_UNAVAILABLE, true, "TLS: ");
	assert_int_equal(http_server_requests(r->server), 0);
	q.any_server = true;
	run(r, &q);
	assert_null(r->fault);
}

/* The system's roots do not count where others are given, although libcurl would add them by itself. */
static void test_system_roots_do_not_count_beside_others(void **state)
{
	struct rig *r = *state;
	char folder[] = "/tmp/test-http-XXXXXX";
	assert_non_null(mkdtemp(folder));
	AUTO(mem_freep) char *file = mem_printf("%s/roots.pem", folder);
	struct buf pem = BUF_INIT;
	anchors_pem(r->roots, &pem);
	FILE *f = fopen(file, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(pem.data, 1, pem.len, f), pem.len);
	assert_int_equal(fclose(f), 0);
	buf_free(&pem);
	assert_int_equal(setenv("SSL_CERT_FILE", file, 1), 0);
	AUTO(mem_freep) char *url = NULL;
	struct http_request q = request(r, "/", &url);
	q.roots = r->strangers;
	expect_failure(r, &q, FAULT_UNAVAILABLE, true, "TLS: ");
	assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void test_statuses_are_answers(void **state)
{
	struct rig *r = *state;
	AUTO(mem_freep) char *url = NULL;
	struct http_request q = request(r, "/", &url);
	r->reply = "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno";
	run(r, &q);
	assert_null(r->fault);
	assert_int_equal(r->status, 429);
	assert_int_equal(r->retry_after_ms, 7000);
	assert_string_equal(buf_text(&r->body), "no");
	r->reply = "HTTP/1.1 307 There\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n";
	run(r, &q);
	assert_null(r->fault);
	assert_int_equal(r->status, 307); /* not followed */
}

static void test_answers_are_bounded(void **state)
{
	struct rig *r = *state;
	AUTO(mem_freep) char *url = NULL;
	struct http_request q = request(r, "/", &url);
	q.answer_max = 10;
	r->reply = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";
	run(r, &q);
	assert_null(r->fault);
	r->reply = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n0123456789a";
	expect_failure(r, &q, FAULT_CORRUPT, false, "more than 10 bytes");
	r->reply = "hello\r\n\r\n";
	r->act = HTTP_ACT_REPLY_CLOSE;
	expect_failure(r, &q, FAULT_CORRUPT, false, "");
	r->reply = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n01234";
	expect_failure(r, &q, FAULT_UNAVAILABLE, true, "");
}

static void test_time_is_bounded(void **state)
{
	struct rig *r = *state;
	AUTO(mem_freep) char *url = NULL;
	struct http_request q = request(r, "/", &url);
	r->act = HTTP_ACT_HANG;
	r->reply = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01";
	q.timeout_ms = 200;
	expect_failure(r, &q, FAULT_TIMEOUT, true, "");
	r->reply = "";
	expect_failure(r, &q, FAULT_TIMEOUT, true, "");
}

static void test_cancel(void **state)
{
	struct rig *r = *state;
	AUTO(mem_freep) char *url = NULL;
	struct http_request q = request(r, "/", &url);
	r->act = HTTP_ACT_HANG;
	r->reply = "";
	for (size_t requests = 0; requests < 2; requests++) {
		r->completions = 0;
		struct http_call *c = http_start(r->http, &q, on_done, r);
		while (http_server_requests(r->server) < requests) /* before anything went out, then in the middle */
			loop_turn(r->loop, true);
		http_cancel(c);
		http_cancel(c);
		assert_int_equal(r->completions, 0);
		while (!r->completions)
			loop_turn(r->loop, true);
		assert_int_equal(r->completions, 1);
		assert_string_equal(fault_text(r->fault), "cancelled");
	}
}

static void test_nobody_there(void **state)
{
	struct rig *r = *state;
	AUTO(mem_freep) char *url = NULL;
	struct http_request q = request(r, "/", &url);
	http_server_free(r->server);
	r->server = NULL;
	expect_failure(r, &q, FAULT_UNAVAILABLE, true, "");
}

static void test_unix_socket(void **state)
{
	struct rig *r = *state;
	char folder[] = "/tmp/test-http-XXXXXX";
	assert_non_null(mkdtemp(folder));
	AUTO(mem_freep) char *path = mem_printf("%s/agent", folder);
	struct http_server *s =
		http_server_new(&(struct http_server_options){.unix_path = path, .fn = serve, .arg = r});
	const struct http_request q = {
		.method = "GET", .url = "http://agent/v1", .unix_socket = path, .timeout_ms = 10000};
	run(r, &q);
	assert_null(r->fault);
	assert_string_equal(buf_text(&r->body), "GET /v1 - []");
	http_server_free(s);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void test_urls(void **state)
{
	static const char *const good[] = {"https://vault.example:8200", "https://[2001:db8::1]/v1",
		"http://127.0.0.1:8200", "http://localhost/x", "http://[::1]:1"};
	static const struct {
		const char *url, *why;
	} bad[] = {{"http://vault.example", "plain http"}, {"http://10.0.0.1", "plain http"},
		{"http://127.0.0.1.example", "plain http"}, {"ftp://x", "https://"}, {"file:///etc/passwd", ""},
		{"https://u:p@x", "holds a user"}, {"https://x/?q=1", "query"}, {"https://x/#f", "query"},
		{"https://x y", "space"}, {"https://x\r\nHost: y", "space"}, {"", ""}, {"vault.example", ""}};
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		expect_ok(http_check_url(good[i], NULL));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		expect_fault(http_check_url(bad[i].url, NULL), FAULT_INVALID, bad[i].why);
	expect_ok(http_check_url("http://agent", "/run/agent"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(test_get_and_post), T(test_connection_belongs_to_its_client),
		T(test_server_is_verified), T(test_system_roots_do_not_count_beside_others),
		T(test_statuses_are_answers), T(test_answers_are_bounded), T(test_time_is_bounded), T(test_cancel),
		T(test_nobody_there), T(test_unix_socket), cmocka_unit_test(test_urls)};
	return cmocka_run_group_tests(tests, NULL, certs_free);
}
