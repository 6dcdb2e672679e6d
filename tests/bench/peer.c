#include "tests/bench/peer.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/mem.h"

enum { FIRST_WINDOW = 65535, CHUNK = 16000, OUT_MAX = 256 * 1024 };

static const char *const calls[] = {
	"/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
	"/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets",
};

bool peer_connect(struct peer *p, const char *path, int64_t now_ms)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	invariant(strlen(path) < sizeof a.sun_path);
	memcpy(a.sun_path, path, strlen(path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
		(void)close(fd);
		return false;
	}
	buf_truncate(&p->out, 0);
	p->fd = fd;
	p->since_ms = now_ms;
	p->next_stream = 1;
	p->message = NULL;
	p->sent = p->got = 0;
	p->window = p->first_window = FIRST_WINDOW;
	return true;
}

void peer_hang_up(struct peer *p)
{
	if (p->fd >= 0)
		(void)close(p->fd);
	p->fd = -1;
}

void peer_done(struct peer *p)
{
	peer_hang_up(p);
	buf_free(&p->out);
}

void peer_add(struct peer *p, const void *bytes, size_t len)
{
	buf_add(&p->out, bytes, len);
}

void peer_add_frame(struct peer *p, unsigned type, unsigned flags, uint32_t stream, const void *payload, size_t len)
{
	const unsigned char head[9] = {(unsigned char)(len >> 16), (unsigned char)(len >> 8), (unsigned char)len,
		(unsigned char)type, (unsigned char)flags, (unsigned char)(stream >> 24), (unsigned char)(stream >> 16),
		(unsigned char)(stream >> 8), (unsigned char)stream};
	peer_add(p, head, sizeof head);
	peer_add(p, payload, len);
}

void peer_add_preface(struct peer *p, int64_t initial_window)
{
	const unsigned char settings[6] = {0, 4, (unsigned char)(initial_window >> 24),
		(unsigned char)(initial_window >> 16), (unsigned char)(initial_window >> 8),
		(unsigned char)initial_window};
	peer_add(p, PEER_PREFACE, strlen(PEER_PREFACE));
	peer_add_frame(p, H2_SETTINGS, 0, 0, settings, initial_window < 0 ? 0 : sizeof settings);
	peer_add_frame(p, H2_SETTINGS, H2_ACK, 0, "", 0);
}

/* RFC 7541: a literal that is not indexed, without Huffman; texts below 127 bytes. */
static void add_header(struct buf *b, const char *name, const char *value)
{
	const unsigned char lens[2] = {(unsigned char)strlen(name), (unsigned char)strlen(value)};
	buf_add(b, "", 1);
	buf_add(b, &lens[0], 1);
	buf_add_text(b, name);
	buf_add(b, &lens[1], 1);
	buf_add_text(b, value);
}

uint32_t peer_add_call(struct peer *p, bool delta)
{
	static struct buf headers[2];
	struct buf *h = &headers[delta];
	if (!h->len) {
		buf_add(h, "\x83\x86", 2); /* :method POST, :scheme http */
		add_header(h, ":path", calls[delta]);
		add_header(h, ":authority", "x");
		add_header(h, "content-type", "application/grpc");
		add_header(h, "te", "trailers");
	}
	uint32_t stream = p->next_stream;
	p->next_stream += 2;
	peer_add_frame(p, H2_HEADERS, H2_END_HEADERS, stream, h->data, h->len);
	return stream;
}

void peer_say(struct peer *p, uint32_t stream, const struct buf *m)
{
	p->message = m;
	p->message_sent = 0;
	p->stream = stream;
	p->stream_window = p->first_window;
}

bool peer_is_idle(const struct peer *p)
{
	return !p->out.len && !p->message;
}

static size_t least(size_t a, int64_t b)
{
	return b < 0 ? 0 : a < (size_t)b ? a : (size_t)b;
}

static void add_message(struct peer *p)
{
	while (p->message && p->out.len < OUT_MAX) {
		size_t n = least(least(least(p->message->len - p->message_sent, CHUNK), p->window), p->stream_window);
		if (!n)
			return;
		peer_add_frame(p, H2_DATA, 0, p->stream, p->message->data + p->message_sent, n);
		p->message_sent += n;
		p->window -= (int64_t)n;
		p->stream_window -= (int64_t)n;
		if (p->message_sent == p->message->len)
			p->message = NULL;
	}
}

static uint32_t number(const unsigned char *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void take_settings(struct peer *p, size_t len)
{
	for (size_t i = 0; i + 6 <= len && i + 6 <= sizeof p->payload; i += 6)
		if (p->payload[i] == 0 && p->payload[i + 1] == 4) {
			int64_t window = number(p->payload + i + 2);
			p->stream_window += window - p->first_window;
			p->first_window = window;
		}
}

/* A whole frame is here; of long ones only the beginning was kept. */
static void take_frame(struct peer *p, size_t len)
{
	uint32_t stream = number(p->head + 5);
	bool ack = p->head[4] & H2_ACK;
	if (p->head[3] == H2_WINDOW_UPDATE && len >= 4)
		*(stream ? &p->stream_window : &p->window) +=
			stream == 0 || stream == p->stream ? number(p->payload) : 0;
	else if (p->head[3] == H2_SETTINGS && !ack)
		take_settings(p, len);
	else if (p->head[3] == H2_PING && !ack && len == 8)
		peer_add_frame(p, H2_PING, H2_ACK, 0, p->payload, 8);
	else if (p->message && stream == p->stream && (p->head[3] == H2_RST_STREAM || p->head[4] & H2_END_STREAM) &&
		 p->head[3] != H2_DATA)
		p->message = NULL; /* refused before its end */
}

static void take_bytes(struct peer *p, const unsigned char *at, size_t count)
{
	while (count) {
		if (p->got < sizeof p->head) {
			p->head[p->got++] = *at++;
			count--;
		}
		if (p->got < sizeof p->head)
			continue;
		size_t len = (size_t)p->head[0] << 16 | (size_t)p->head[1] << 8 | p->head[2];
		size_t have = p->got - sizeof p->head;
		size_t n = len - have < count ? len - have : count;
		if (have < sizeof p->payload)
			memcpy(p->payload + have, at, least(n, (int64_t)(sizeof p->payload - have)));
		p->got += n;
		at += n;
		count -= n;
		if (have + n == len) {
			take_frame(p, len);
			p->got = 0;
		}
	}
}

int64_t peer_move(struct peer *p)
{
	unsigned char bytes[CHUNK];
	int64_t moved = 0;
	add_message(p);
	if (p->out.len) {
		ssize_t n = send(p->fd, p->out.data + p->sent, p->out.len - p->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN)
			return -1;
		p->sent += n > 0 ? (size_t)n : 0;
		moved += n > 0 ? n : 0;
		if (p->sent == p->out.len) {
			buf_truncate(&p->out, 0);
			p->sent = 0;
		}
	}
	if (p->deaf)
		return moved;
	ssize_t n = recv(p->fd, bytes, sizeof bytes, MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		return -1;
	if (n > 0)
		take_bytes(p, bytes, (size_t)n);
	return moved + (n > 0 ? n : 0);
}
