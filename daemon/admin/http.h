/* daemon/admin/http.h - libmicrohttpd on the control loop: listeners, a table of routes, one exchange per request. A
 * handler replies at once or later; meanwhile the connection sleeps. Not its duty: what the routes mean. Thread:
 * control. */
#ifndef DAEMON_ADMIN_HTTP_H
#define DAEMON_ADMIN_HTTP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/attr.h"
#include "base/buf.h"
struct fault;
struct http_site;
struct http_exchange;
struct loop;

/** Largest request body: 1 MiB of PEM in base64, twice, and its JSON. */
#define HTTP_BODY_MAX ((size_t)4 * 1024 * 1024)

struct http_route {
	const char *method; /* GET answers HEAD too */
	const char *path;
	void (*handle)(void *arg, struct http_exchange *x); /* replies exactly once, now or later */
};

/** Serve these routes on a listening socket (unix or TCP; taken). routes end with a NULL method and are borrowed.
 *  owner_only: a unix peer that is neither root nor our own uid gets 403. The caller owns *ret: http_site_free(). */
MUST_USE struct fault *http_site_new(struct loop *l, int listen_fd, const struct http_route *routes, bool owner_only,
	void *arg, struct http_site **ret);
/** No new connections; requests that come on open ones get 503. */
void http_quiesce(struct http_site *h);
/** Only when every exchange has been replied to. NULL is fine. */
void http_site_free(struct http_site *h);
/** Exchanges whose handler has not replied yet. */
size_t http_pending(const struct http_site *h);

const struct buf *http_body(const struct http_exchange *x);
/** NULL when the request has no such header. */
const char *http_header(const struct http_exchange *x, const char *name);
/** "uid 1000" of a unix peer, "tcp" otherwise. */
const char *http_peer(const struct http_exchange *x);

/** Takes what is in body (which may be a wiping buffer) and leaves it empty. */
void http_reply(struct http_exchange *x, unsigned status, const char *content_type, struct buf *body);
/** The bytes of a regular file from its beginning; takes fd. */
void http_reply_file(struct http_exchange *x, const char *content_type, int fd, uint64_t bytes);
/** {"error": {"code": ..., "message": ...}} with the HTTP status of the fault's code. Takes f. */
void http_reply_fault(struct http_exchange *x, struct fault *f);
#endif
