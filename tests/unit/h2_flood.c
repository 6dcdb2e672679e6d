#include "h2_flood.h"
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

/* RFC 9113 */
enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, WINDOW_UPDATE = 8 };
enum { ACK = 1, END_STREAM = 1, END_HEADERS = 4, INITIAL_WINDOW = 65535, CHUNK = 16000, QUEUE_MAX = 1 << 20 };

struct stream {
	int64_t window, left;
	bool begun, over;
};

struct flood {
	int fd, streams;
	struct stream *s;
	int64_t window;
	struct buf in, out;
	struct h2_flood_result result;
};

static void put_frame(struct buf *b, unsigned type, unsigned flags, uint32_t stream, const void *bytes, size_t len)
{
	const unsigned char head[9] = {(unsigned char)(len >> 16), (unsigned char)(len >> 8), (unsigned char)len,
		(unsigned char)type, (unsigned char)flags, (unsigned char)(stream >> 24), (unsigned char)(stream >> 16),
		(unsigned char)(stream >> 8), (unsigned char)stream};
	buf_add(b, head, sizeof head);
	buf_add(b, bytes, len);
}

/* RFC 7541: a literal that is not indexed, without Huffman; texts below 127 bytes. */
static void put_header(struct buf *b, const char *name, const char *value)
{
	const unsigned char lens[2] = {(unsigned char)strlen(name), (unsigned char)strlen(value)};
	buf_add(b, "", 1);
	buf_add(b, &lens[0], 1);
	buf_add_text(b, name);
	buf_add(b, &lens[1], 1);
	buf_add_text(b, value);
}

static void put_headers(struct buf *headers, const char *method)
{
	buf_add(headers, "\x83\x86", 2); /* :method POST, :scheme http */
	put_header(headers, ":path", method);
	put_header(headers, ":authority", "x");
	put_header(headers, "content-type", "application/grpc");
	put_header(headers, "te", "trailers");
}

static void put_opening(struct flood *f, const char *method)
{
	struct buf headers = BUF_INIT;
	put_headers(&headers, method);
	buf_add_text(&f->out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	put_frame(&f->out, SETTINGS, 0, 0, NULL, 0);
	for (int i = 0; i < f->streams; i++)
		put_frame(&f->out, HEADERS, END_HEADERS, (uint32_t)(2 * i + 1), headers.data, headers.len);
	buf_free(&headers);
}

static void put_data(struct flood *f, int i)
{
	struct stream *s = &f->s[i];
	unsigned char chunk[CHUNK] = {0};
	int64_t n = sizeof chunk;
	n = n < s->window ? n : s->window;
	n = n < s->left ? n : s->left;
	n = n < f->window ? n : f->window;
	if (s->over || n < 5)
		return;
	if (!s->begun)
		memcpy(chunk, "\0\0\x3f\0\0", 5); /* a message of 4,128,768 bytes */
	s->begun = true;
	s->window -= n;
	s->left -= n;
	f->window -= n;
	f->result.sent_bytes += (size_t)n;
	put_frame(&f->out, DATA, 0, (uint32_t)(2 * i + 1), chunk, (size_t)n);
}

static uint32_t number(const unsigned char *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void take_settings(struct flood *f, unsigned flags, const unsigned char *at, size_t len)
{
	if (flags & ACK)
		return;
	for (size_t k = 0; k + 6 <= len; k += 6)
		if (at[k + 1] == 4) /* SETTINGS_INITIAL_WINDOW_SIZE */
			for (int i = 0; i < f->streams; i++)
				f->s[i].window += (int64_t)number(at + k + 2) - INITIAL_WINDOW;
	put_frame(&f->out, SETTINGS, ACK, 0, NULL, 0);
}

static void take_frame(struct flood *f, const unsigned char *head, size_t len)
{
	uint32_t id = number(head + 5) & 0x7fffffff;
	struct stream *s = id && id < 2 * (uint32_t)f->streams ? &f->s[id / 2] : NULL;
	const unsigned char *at = head + 9;
	if (head[3] == WINDOW_UPDATE && s)
		s->window += number(at);
	else if (head[3] == WINDOW_UPDATE)
		f->window += number(at);
	else if (head[3] == SETTINGS)
		take_settings(f, head[4], at, len);
	else if (head[3] == PING && !(head[4] & ACK))
		put_frame(&f->out, PING, ACK, 0, at, len);
	else if (s && !s->over && (head[3] == RST_STREAM || (head[3] == HEADERS && (head[4] & END_STREAM)))) {
		s->over = true;
		f->result.refused++;
	}
}

static void take_frames(struct flood *f)
{
	size_t from = 0;
	while (f->in.len - from >= 9) {
		const unsigned char *head = f->in.data + from;
		size_t len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
		if (f->in.len - from < 9 + len)
			break;
		take_frame(f, head, len);
		from += 9 + len;
	}
	if (from)
		memmove(f->in.data, f->in.data + from, f->in.len - from);
	buf_truncate(&f->in, f->in.len - from);
}

/* False: the connection is over. */
static bool exchange(struct flood *f)
{
	struct pollfd p = {.fd = f->fd, .events = (short)(POLLIN | (f->out.len ? POLLOUT : 0))};
	unsigned char bytes[CHUNK];
	(void)poll(&p, 1, 50);
	if (p.revents & POLLOUT) {
		ssize_t n = send(f->fd, f->out.data, f->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			memmove(f->out.data, f->out.data + n, f->out.len - (size_t)n);
			buf_truncate(&f->out, f->out.len - (size_t)n);
		}
	}
	if (p.revents & (POLLIN | POLLHUP)) {
		ssize_t n = recv(f->fd, bytes, sizeof bytes, MSG_DONTWAIT);
		if (n <= 0)
			return false;
		buf_add(&f->in, bytes, (size_t)n);
		take_frames(f);
	}
	return true;
}

static int dial(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	(void)snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	invariant(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
	return fd;
}

struct h2_flood_result h2_flood(
	const char *path, const char *method, int streams, size_t stream_bytes, size_t enough, int64_t within_ms)
{
	struct flood f = {.streams = streams, .s = mem_array(struct stream, (size_t)streams), .window = INITIAL_WINDOW};
	int64_t end = clock_mono_ms(clock_system()) + within_ms;
	f.fd = dial(path);
	for (int i = 0; i < streams; i++)
		f.s[i] = (struct stream){.window = INITIAL_WINDOW, .left = (int64_t)stream_bytes};
	put_opening(&f, method);
	while (f.result.refused < enough && clock_mono_ms(clock_system()) < end &&
		f.result.sent_bytes < (size_t)streams * stream_bytes) {
		for (int i = 0; i < streams && f.out.len < QUEUE_MAX; i++)
			put_data(&f, i);
		if (!exchange(&f)) {
			f.result.refused = (size_t)streams;
			break;
		}
	}
	(void)close(f.fd);
	buf_free(&f.in);
	buf_free(&f.out);
	free(f.s);
	return f.result;
}

/* A number of the PINGs that it has answered; -1: it has hung up, or nothing comes. */
static int take_pongs(int fd, struct buf *in, int64_t end)
{
	unsigned char bytes[CHUNK];
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int pongs = 0;
	size_t from = 0;
	int64_t left = end - clock_mono_ms(clock_system());
	if (left <= 0 || poll(&p, 1, (int)left) != 1)
		return -1;
	ssize_t n = recv(fd, bytes, sizeof bytes, 0);
	if (n <= 0)
		return -1;
	buf_add(in, bytes, (size_t)n);
	while (in->len - from >= 9) {
		const unsigned char *head = in->data + from;
		size_t len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
		if (in->len - from < 9 + len)
			break;
		pongs += head[3] == PING && (head[4] & ACK);
		from += 9 + len;
	}
	memmove(in->data, in->data + from, in->len - from);
	buf_truncate(in, in->len - from);
	return pongs;
}

bool h2_resets(const char *path, const char *method, int64_t within_ms)
{
	enum { AT_A_TIME = 10 };
	int64_t end = clock_mono_ms(clock_system()) + within_ms;
	struct buf headers = BUF_INIT, out = BUF_INIT, in = BUF_INIT;
	int fd = dial(path);
	bool goes_on = true;
	put_headers(&headers, method);
	buf_add_text(&out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	put_frame(&out, SETTINGS, 0, 0, NULL, 0);
	put_frame(&out, SETTINGS, ACK, 0, NULL, 0);
	for (uint32_t id = 1; goes_on;) {
		for (int i = 0; i < AT_A_TIME; i++, id += 2) {
			put_frame(&out, HEADERS, END_HEADERS, id, headers.data, headers.len);
			put_frame(&out, RST_STREAM, 0, id, "\0\0\0\x08", 4);
		}
		put_frame(&out, PING, 0, 0, "abcdefgh", 8);
		goes_on = send(fd, out.data, out.len, MSG_NOSIGNAL) == (ssize_t)out.len;
		buf_truncate(&out, 0);
		for (int pongs = 0; goes_on && pongs == 0;) {
			pongs = take_pongs(fd, &in, end);
			goes_on = pongs >= 0;
		}
	}
	(void)close(fd);
	buf_free(&headers);
	buf_free(&out);
	buf_free(&in);
	return clock_mono_ms(clock_system()) < end;
}

bool h2_is_kept_out(const char *path)
{
	char byte;
	int fd = dial(path);
	bool is = recv(fd, &byte, 1, 0) == 0;
	(void)close(fd);
	return is;
}
