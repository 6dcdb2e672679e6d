#include "tests/bench/assault.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/mem.h"
#include "tests/bench/frame.h"
#include "tests/bench/message.h"

enum { LONG_NAME = 64 * 1024, LONG_NAMES = 10, MANY_NAMES = 10000, NODE_BYTES = 5 << 20, EMPTIES = 100000 };
enum { STREAMS_HELD = 1000, TURNS_PER_CONNECTION = 1 << 20 };

/* [0] SotW, [1] delta; each with its gRPC prefix. */
static struct buf request[2], long_names[2], many_names[2], big_node[2], empties[2], half_message;
static struct buf junk; /* 16,000 bytes */

/* --- messages --- */
static void add_prefix(struct buf *m, size_t len)
{
	const unsigned char prefix[5] = {0, (unsigned char)(len >> 24), (unsigned char)(len >> 16),
		(unsigned char)(len >> 8), (unsigned char)len};
	buf_add(m, prefix, sizeof prefix);
}

static void finish(struct buf *body, struct buf *ret)
{
	add_prefix(ret, body->len);
	buf_add(ret, body->data, body->len);
	buf_free(body);
}

static void make_request(bool delta, const char *name, struct buf *ret)
{
	struct buf body = BUF_INIT, no_node = BUF_INIT;
	message_add_first(delta, &no_node, 0, name, &body);
	finish(&body, ret);
}

static void make_long_names(bool delta, struct buf *ret)
{
	struct buf body = BUF_INIT, none = BUF_INIT;
	char *name = mem_calloc(1, LONG_NAME + 1);
	memset(name, 'n', LONG_NAME);
	message_add_first(delta, &none, 0, "first", &body);
	for (int i = 0; i < LONG_NAMES; i++) {
		name[0] = (char)('a' + i);
		frame_add_text(&body, 3, name);
	}
	free(name);
	finish(&body, ret);
}

static void make_many_names(bool delta, struct buf *ret)
{
	struct buf body = BUF_INIT, none = BUF_INIT;
	message_add_first(delta, &none, 0, "first", &body);
	for (int i = 0; i < MANY_NAMES; i++) {
		char name[32];
		(void)snprintf(name, sizeof name, "no-such-secret-%d", i);
		frame_add_text(&body, 3, name);
	}
	finish(&body, ret);
}

static void make_big_node(bool delta, struct buf *ret)
{
	struct buf body = BUF_INIT, node = BUF_INIT;
	message_add_node(NODE_BYTES, &node);
	message_add_first(delta, &node, 0, "first", &body);
	buf_free(&node);
	finish(&body, ret);
}

/* Node.extensions, and resource_locators of the request itself. */
static void make_empties(bool delta, struct buf *ret)
{
	struct buf body = BUF_INIT, node = BUF_INIT;
	for (int i = 0; i < EMPTIES / 2; i++)
		frame_add(&node, 9, "", 0);
	message_add_first(delta, &node, 0, "first", &body);
	for (int i = 0; i < EMPTIES / 2; i++)
		frame_add(&body, delta ? 8 : 7, "", 0);
	buf_free(&node);
	finish(&body, ret);
}

void assaults_init(const char *name)
{
	for (int delta = 0; delta < 2; delta++) {
		make_request(delta, name, &request[delta]);
		make_long_names(delta, &long_names[delta]);
		make_many_names(delta, &many_names[delta]);
		make_big_node(delta, &big_node[delta]);
		make_empties(delta, &empties[delta]);
	}
	add_prefix(&half_message, 4000000);
	memset(buf_extend(&junk, 16000), 'j', 16000);
}

void assaults_done(void)
{
	for (int delta = 0; delta < 2; delta++) {
		buf_free(&request[delta]);
		buf_free(&long_names[delta]);
		buf_free(&many_names[delta]);
		buf_free(&big_node[delta]);
		buf_free(&empties[delta]);
	}
	buf_free(&half_message);
	buf_free(&junk);
}

/* --- what is said --- */
static void greet(struct peer *p)
{
	p->deaf = false;
	peer_add_preface(p, -1);
}

static void say_nothing(struct peer *p)
{
	(void)p;
}

static void add_reset(struct peer *p, uint32_t stream)
{
	peer_add_frame(p, H2_RST_STREAM, 0, stream, "\0\0\0\x08", 4);
}

/* RFC 9113 forbids each of these. */
static void malformed(struct peer *p)
{
	static const struct {
		unsigned type, flags;
		uint32_t stream;
		const char *payload;
		size_t len;
	} frames[] = {
		{H2_DATA, 0, 0, "abc", 3},			     /* DATA on no stream */
		{H2_HEADERS, H2_END_HEADERS, 2, "\x82", 1},	     /* a stream of the server's */
		{H2_HEADERS, H2_END_HEADERS, 1, "\xff\xff\xff", 3},  /* an index beyond the table */
		{H2_HEADERS, 0x2c, 1, "\xff\x82", 2},		     /* more padding than there is frame */
		{H2_SETTINGS, 0, 0, "abcde", 5},		     /* not a multiple of 6 */
		{H2_SETTINGS, 0, 0, "\0\4\xff\xff\xff\xff", 6},	     /* a window past 2^31 */
		{H2_SETTINGS, H2_ACK, 0, "abcdef", 6},		     /* an ACK with content */
		{H2_PING, 0, 0, "abc", 3},			     /* not 8 bytes */
		{H2_WINDOW_UPDATE, 0, 0, "\0\0\0\0", 4},	     /* by nothing */
		{H2_WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff", 4},     /* past 2^31 */
		{H2_CONTINUATION, H2_END_HEADERS, 1, "\x82", 1},     /* of nothing */
		{H2_PUSH_PROMISE, H2_END_HEADERS, 1, "\0\0\0\2", 4}, /* by a client */
		{H2_RST_STREAM, 0, 99, "\0\0\0\0", 4},		     /* of a stream that never was */
		{H2_GOAWAY, 0, 0, "", 0},			     /* cut off */
		{0xee, 0xff, 0x7fffffff, "what is this", 12},
	};
	size_t variant = p->turn++ % (ARRAY_LEN(frames) + 2);
	if (variant == ARRAY_LEN(frames)) {
		peer_add(p, "GET / HTTP/1.1\r\nhost: x\r\n\r\n", 27);
	} else if (variant > ARRAY_LEN(frames)) {
		peer_add_preface(p, -1);
		peer_add(p, junk.data, junk.len); /* a head of 6 MiB of type 'j' */
	} else {
		peer_add_preface(p, -1);
		peer_add_frame(p, frames[variant].type, frames[variant].flags, frames[variant].stream,
			frames[variant].payload, frames[variant].len);
	}
}

/* CVE-2023-44487: streams opened and reset, faster than they can be served. */
static void reset_flood(struct peer *p)
{
	for (int i = 0; i < 64; i++)
		add_reset(p, peer_add_call(p, i & 1));
}

static void churn(struct peer *p)
{
	for (int i = 0; i < 16; i++) {
		uint32_t stream = peer_add_call(p, i & 1);
		peer_add_frame(p, H2_DATA, 0, stream, request[i & 1].data, request[i & 1].len);
		add_reset(p, stream);
		p->window -= (int64_t)request[i & 1].len;
	}
	if (p->window < 32768)
		peer_hang_up(p); /* what was reset gives no window back soon enough */
}

static void half_open_streams(struct peer *p)
{
	greet(p);
	for (int i = 0; i < STREAMS_HELD; i++) {
		uint32_t stream = peer_add_call(p, i & 1);
		if (i & 2)
			peer_add_frame(p, H2_DATA, 0, stream, half_message.data, half_message.len);
	}
}

static void half_open(struct peer *p)
{
	p->deaf = false;
	if (p->number % 3 == 1)
		peer_add(p, PEER_PREFACE, 10);
	else if (p->number % 3 == 2)
		peer_add(p, PEER_PREFACE "\0\0\6\4", sizeof PEER_PREFACE - 1 + 4);
}

static void ping_flood(struct peer *p)
{
	for (int i = 0; i < 256; i++)
		peer_add_frame(p, H2_PING, 0, 0, "abcdefgh", 8);
}

static void settings_flood(struct peer *p)
{
	for (int i = 0; i < 128; i++)
		peer_add_frame(p, H2_SETTINGS, 0, 0, "\0\1\0\0\0\0\0\4\0\1\0\0", 12);
}

/* A closed window, or a socket that nobody reads. */
static void slow_reader(struct peer *p)
{
	bool delta = p->number & 2;
	peer_add_preface(p, p->number & 1 ? 0 : -1);
	p->deaf = !(p->number & 1);
	peer_say(p, peer_add_call(p, delta), &request[delta]);
}

static void say_in_turn(struct peer *p, const struct buf messages[2])
{
	if (p->stream)
		add_reset(p, p->stream);
	bool delta = p->turn++ & 1;
	peer_say(p, peer_add_call(p, delta), &messages[delta]);
}

static void greet_anew(struct peer *p)
{
	greet(p);
	p->stream = 0;
}

static void say_long_names(struct peer *p)
{
	say_in_turn(p, long_names);
}

static void say_many_names(struct peer *p)
{
	say_in_turn(p, many_names);
}

static void say_big_node(struct peer *p)
{
	say_in_turn(p, big_node);
}

static void say_empties(struct peer *p)
{
	say_in_turn(p, empties);
}

/* --- headers --- */
#define BLOCK(text) text, sizeof(text) - 1

/* CVE-2023-33953, first half: header blocks without end, sent before the server's SETTINGS can be known. */
static void unacknowledged(struct peer *p)
{
	p->deaf = false;
	peer_add(p, PEER_PREFACE, sizeof PEER_PREFACE - 1);
	peer_add_frame(p, H2_SETTINGS, 0, 0, "", 0);
}

static void add_long_header(struct peer *p, unsigned type, unsigned flags, uint32_t stream, unsigned char form)
{
	struct buf block = BUF_INIT;
	const unsigned char head[] = {form, 3, 'p', 'a', 'd', 0x7f, 0x81, 0x7c}; /* a value of 127 + 15,873 bytes */
	buf_add(&block, head, sizeof head);
	buf_add(&block, junk.data, 16000);
	peer_add_frame(p, type, flags, stream, block.data, block.len);
	buf_free(&block);
}

static void huge_headers(struct peer *p)
{
	uint32_t stream = p->next_stream;
	p->next_stream += 2;
	add_long_header(p, H2_HEADERS, 0, stream, 0);
	for (int i = 0; i < 16; i++)
		add_long_header(p, H2_CONTINUATION, i == 15 ? H2_END_HEADERS : 0, stream, 0);
}

/* Second half: an integer and a block that never come to their end. */
static void endless_headers(struct peer *p)
{
	static const unsigned char integer[64] = {0x7f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80};
	if (p->turn++ & 1) {
		peer_add_frame(p, H2_HEADERS, H2_END_HEADERS, p->next_stream, integer, sizeof integer);
		p->next_stream += 2;
		return;
	}
	peer_add_frame(p, H2_HEADERS, 0, p->next_stream, "\x83", 1);
	for (int i = 0; i < 256; i++)
		peer_add_frame(p, H2_CONTINUATION, 0, p->next_stream, "", 0);
	peer_add_frame(p, H2_CONTINUATION, H2_END_HEADERS, p->next_stream, "\x86", 1);
	p->next_stream += 2;
}

/* CVE-2023-1428: values that gRPC aborted on when more than 8 KiB of headers came with them. */
static void odd_values(struct peer *p)
{
	static const struct {
		const char *block;
		size_t len;
	} odd[] = {
		{BLOCK("\x83\x86\0\2te\1x")},
		{BLOCK("\x83\0\7:scheme\1x")},
		{BLOCK("\x83\x86\0\x13grpclb_client_stats\1x")},
		{BLOCK("\x83\x86\0\x0c"
		       "content-type\1x")},
		{BLOCK("\x83\x86\0\x0cgrpc-timeout\3zzz")},
	};
	uint32_t stream = p->next_stream;
	size_t i = p->turn++ % ARRAY_LEN(odd);
	p->next_stream += 2;
	peer_add_frame(p, H2_HEADERS, 0, stream, odd[i].block, odd[i].len);
	add_long_header(p, H2_CONTINUATION, H2_END_HEADERS, stream, 0);
}

/* CVE-2023-32731: a block that is too large is dropped, but its entries must go into the table all the same. */
static void dropped_table(struct peer *p)
{
	uint32_t stream = p->next_stream;
	p->next_stream += 4;
	add_long_header(p, H2_HEADERS, 0, stream, 0);
	peer_add_frame(p, H2_CONTINUATION, H2_END_HEADERS, stream, BLOCK("\x40\3key\5value"));
	peer_add_frame(p, H2_HEADERS, H2_END_HEADERS, stream + 2, BLOCK("\x83\x86\xbe"));
}

/* CVE-2023-32732: a broken binary header ended the whole connection, for everybody behind a proxy. */
static void broken_binary(struct peer *p)
{
	uint32_t stream = p->next_stream;
	p->next_stream += 2;
	peer_add_frame(p, H2_HEADERS, H2_END_HEADERS, stream, BLOCK("\x83\x86\0\5x-bin\7!!not64"));
}

const struct assault assaults[] = {
	{"malformed frames", 8, 50, malformed, NULL},
	{"RST flood (CVE-2023-44487)", 4, 0, greet, reset_flood},
	{"stream churn", 4, 0, greet, churn},
	{"half-open streams", 4, 10000, half_open_streams, NULL},
	{"half-open connections", 200, 10000, half_open, NULL},
	{"ping flood", 4, 0, greet, ping_flood},
	{"SETTINGS flood", 2, 0, greet, settings_flood},
	{"slow readers", 100, 0, slow_reader, NULL},
	{"names of 64 KiB", 2, 10000, greet_anew, say_long_names},
	{"10,000 names", 2, 10000, greet_anew, say_many_names},
	{"nodes of 5 MiB", 2, 10000, greet_anew, say_big_node},
	{"100,000 empty messages", 2, 10000, greet_anew, say_empties},
	{"connection churn (CVE-2023-4785)", 200, 100, say_nothing, NULL},
	{"huge headers, SETTINGS not ACKed", 2, 0, unacknowledged, huge_headers},
	{"endless headers (CVE-2023-33953)", 2, 0, greet, endless_headers},
	{"odd header values (CVE-2023-1428)", 2, 0, greet, odd_values},
	{"dropped table entries (CVE-2023-32731)", 2, 0, greet, dropped_table},
	{"broken binary headers (CVE-2023-32732)", 2, 0, greet, broken_binary},
};
const size_t assault_count = ARRAY_LEN(assaults);
