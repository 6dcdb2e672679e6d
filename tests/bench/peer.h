/* tests/bench/peer.h - one connection of an abuser: HTTP/2 by hand, on a unix socket, without ever blocking.
 * Not its duty: what is said; that are the assaults. Thread: the abuser's only one. Owner: an assault has its peers. */
#ifndef TESTS_BENCH_PEER_H
#define TESTS_BENCH_PEER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

/* RFC 9113, 6 */
enum { H2_DATA, H2_HEADERS, H2_PRIORITY, H2_RST_STREAM, H2_SETTINGS, H2_PUSH_PROMISE, H2_PING, H2_GOAWAY };
enum { H2_WINDOW_UPDATE = 8, H2_CONTINUATION = 9 };
enum { H2_ACK = 1, H2_END_STREAM = 1, H2_END_HEADERS = 4 };
#define PEER_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

struct peer {
	int fd; /* -1: not connected */
	size_t number;
	unsigned turn; /* the assault's: what it said last */
	int64_t since_ms;
	bool deaf; /* reads nothing */
	uint32_t next_stream;
	struct buf out; /* of which sent bytes went out */
	size_t sent;
	const struct buf *message; /* being sent on stream within both windows; NULL: none. Borrowed */
	size_t message_sent;
	uint32_t stream;
	int64_t window, stream_window, first_window;
	unsigned char head[9]; /* of the frame that is being read */
	unsigned char payload[64];
	size_t got; /* bytes of this frame, head included */
};

/** Connect. False where the server does not take it now. */
bool peer_connect(struct peer *p, const char *path, int64_t now_ms);
void peer_hang_up(struct peer *p);
/** Frees what it holds. */
void peer_done(struct peer *p);

void peer_add(struct peer *p, const void *bytes, size_t len);
void peer_add_frame(struct peer *p, unsigned type, unsigned flags, uint32_t stream, const void *payload, size_t len);
/** Preface, SETTINGS with this initial window (negative: core's default), and the ACK of the server's. */
void peer_add_preface(struct peer *p, int64_t initial_window);
/** HEADERS of a call that stays open; its stream. */
uint32_t peer_add_call(struct peer *p, bool delta);
/** Say a gRPC message (prefix included) on stream as its windows open. *m must live as long as the connection. */
void peer_say(struct peer *p, uint32_t stream, const struct buf *m);
/** Nothing is left to be sent. */
bool peer_is_idle(const struct peer *p);

/** Send and read what can be without blocking. Bytes moved; negative: the server has ended the connection. */
int64_t peer_move(struct peer *p);
#endif
