/* base/io/http.h - HTTP requests to authorities on the control loop (libcurl). The server is always verified: against
 * the roots given, else those of the system; plain http goes to loopback and unix sockets alone. No redirect is
 * followed, no proxy and no .netrc of the environment is used. Not its duty: retries, what an answer means.
 * Thread: control. */
#ifndef BASE_IO_HTTP_H
#define BASE_IO_HTTP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/attr.h"
#include "base/buf.h"
struct anchors;
struct credential;
struct fault;
struct http;
struct http_call;
struct loop;

enum { HTTP_HEADERS_MAX = 8, HTTP_ANSWER_MAX = 4 * 1024 * 1024 };

struct http_header {
	const char *name, *value;
};

/** Everything is copied or referenced by http_start(). */
struct http_request {
	const char *method; /* "GET" */
	const char *url;
	const char *unix_socket;		      /* connect there instead; or NULL */
	struct http_header headers[HTTP_HEADERS_MAX]; /* up to the first without a name */
	const void *body;			      /* NULL: none */
	size_t body_len;
	struct anchors *roots;	   /* the only ones trusted; NULL: the system's */
	struct credential *client; /* shown to a server that asks; or NULL */
	/** For fetching a root of which only the fingerprint is known: the caller believes nothing of the answer but
	 * what it has checked against that. Nothing secret may be in such a request. */
	bool any_server;
	size_t answer_max;  /* of its body, at most HTTP_ANSWER_MAX; 0: that much */
	int64_t timeout_ms; /* from start to the last byte */
};

struct http_answer {
	int status;
	struct buf body; /* wiped afterwards */
	char content_type[128];
	int64_t retry_after_ms; /* -1: not given. A date counts from now */
	const char *location;	/* of a redirect, made absolute; NULL: none */
};
/** Exactly one of f and a is set; f is owned by the callee, a is borrowed for the call. */
typedef void http_done_fn(void *arg, struct fault *f, const struct http_answer *a);

/** Once per process and before other threads start. loop is borrowed. The caller owns it: http_free(). */
struct http *http_new(struct loop *loop);
/** No call may be under way; not from within a done. Its handles close in the next turns of the loop. NULL is fine. */
void http_free(struct http *h);

/** done comes exactly once, never from within the call. Faults: UNAVAILABLE (retryable: not reached, connection lost,
 * its certificate does not verify: the text says so), TIMEOUT (retryable), INVALID (url), CORRUPT (no HTTP, more than
 *  answer_max). Any status is an answer. */
struct http_call *http_start(struct http *h, const struct http_request *r, http_done_fn *done, void *arg);
/** done comes soon, on a later turn, with UNAVAILABLE "cancelled". Twice is fine; not after done. */
void http_cancel(struct http_call *c);
size_t http_running(const struct http *h);

/** INVALID unless url is https://HOST[:PORT][/PATH], or http:// with a loopback address or a unix socket: no user,
 * query or fragment. For configs. Any thread. */
MUST_USE struct fault *http_check_url(const char *url, const char *unix_socket);
#endif
