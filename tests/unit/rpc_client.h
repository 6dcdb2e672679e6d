/* tests/unit/rpc_client.h - a raw gRPC client for tests, driven by one thread: what it waits for, it waits for in
 * rpc_client_turn(), so that a test can run other things meanwhile. */
#ifndef TESTS_UNIT_RPC_CLIENT_H
#define TESTS_UNIT_RPC_CLIENT_H
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
struct rpc_client;
struct rpc_stream;

/** target: "unix:/path". Every client has a connection of its own. */
struct rpc_client *rpc_client_open(const char *target);
/** The same, with every message gzipped. */
struct rpc_client *rpc_client_open_gzip(const char *target);
struct rpc_client_tls {
	const char *roots, *chain, *key; /* PEM; chain NULL: no certificate of our own */
};
/** "127.0.0.1:1234" with TLS; the server must be "localhost". */
struct rpc_client *rpc_client_open_tls(const char *target, const struct rpc_client_tls *tls);
/** Take what is there; waits at most wait_ms for the first. */
void rpc_client_turn(struct rpc_client *c, int wait_ms);
/** Streams must be freed before. */
void rpc_client_close(struct rpc_client *c);

struct rpc_stream *rpc_stream_open(struct rpc_client *c, const char *method);
/** Queued: messages go one after the other. */
void rpc_stream_send(struct rpc_stream *s, const void *bytes, size_t len);
void rpc_stream_half_close(struct rpc_stream *s);
void rpc_stream_cancel(struct rpc_stream *s);
/** Do not read (any more): a client that is stuck. Before the first turn. */
void rpc_stream_stop_reading(struct rpc_stream *s);
void rpc_stream_resume_reading(struct rpc_stream *s);
/** The next message that came, moved to ret; false when there is none now. */
bool rpc_stream_take(struct rpc_stream *s, struct buf *ret);
/** The call is over: all messages were read by then. */
bool rpc_stream_ended(const struct rpc_stream *s);
int rpc_stream_status(const struct rpc_stream *s); /* once ended */
const char *rpc_stream_status_text(const struct rpc_stream *s);
/** The server's certificate as PEM, once something was received; the caller owns it. */
char *rpc_stream_server_pem(const struct rpc_stream *s);
/** Cancels what is not over and waits for its end. */
void rpc_stream_free(struct rpc_stream *s);
#endif
