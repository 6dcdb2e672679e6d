/* tests/unit/http_server.h - a small HTTP server on loopback, or a unix socket, for the errors that no real authority
 * gives on demand: a thread accepts, one more per connection reads a request and does what the test's function says.
 * Aborts on any failure of its own. */
#ifndef TESTS_UNIT_HTTP_SERVER_H
#define TESTS_UNIT_HTTP_SERVER_H
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
struct anchors;
struct credential;
struct http_server;

enum http_act {
	HTTP_ACT_REPLY,	      /* reply goes out as it is; the connection stays open */
	HTTP_ACT_REPLY_CLOSE, /* the same, then it is closed */
	HTTP_ACT_HANG, /* reply goes out (perhaps nothing), then no byte more until the client leaves or the end */
};

struct http_seen {
	const char *method, *path; /* "POST", "/v1/x" */
	const char *head;	   /* the whole of it, request line included */
	const char *body;	   /* NUL-terminated */
	size_t body_len;
	const char *client_uri; /* first URI SAN of the client's certificate, or NULL */
	size_t number;		/* of this request at this server, from 1 */
};
/** On a thread of the server's, one call at a time. */
typedef enum http_act http_server_fn(void *arg, const struct http_seen *r, struct buf *reply);

struct http_server_options {
	struct credential *certificate; /* NULL: plain http. A reference is taken */
	struct anchors *clients; /* clients are asked for a certificate, and one that is shown must verify; or NULL */
	const char *unix_path;	 /* listen there instead of 127.0.0.1 */
	http_server_fn *fn;
	void *arg;
};
/** The caller owns it: http_server_free(). */
struct http_server *http_server_new(const struct http_server_options *o);
unsigned http_server_port(const struct http_server *s);
/** "https://localhost:PORT", or "http://..."; borrowed. */
const char *http_server_url(const struct http_server *s);
size_t http_server_requests(const struct http_server *s);
size_t http_server_connections(const struct http_server *s);
/** Ends every connection and thread. */
void http_server_free(struct http_server *s);

/** A reply with this status, content type and body. */
void http_server_reply(struct buf *b, int status, const char *type, const char *body);
#endif
