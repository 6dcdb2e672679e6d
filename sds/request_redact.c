/* sds/request_redact.c - a client's error text made fit to be logged, stored and shown. Envoy's NACKs can hold the
 * whole rejected Secret as a text dump, private key included, and anybody may send anything. What looks like a dump
 * ends the text; what looks like encoded material is cut out; in doubt it is cut. Linear in the text; no allocation but
 * the result's. */
#include <string.h>
#include "base/attr.h"
#include "base/buf.h"
#include "base/text.h"
#include "sds/request.h"

#define REDACT_MAX ((size_t)512)
#define RUN_MAX ((size_t)256) /* longer is encoded, whatever it is made of: keeps the scan linear */
#define CUT "[cut]"
#define MORE "..."

struct scan {
	struct view text;
	size_t at;
	struct buf *out;
	bool ended;
};

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_word(char c)
{
	return is_upper(c) || is_lower(c) || is_digit(c) || c == '_';
}

/* Both alphabets of base64, percent-encoded or not, hex and base32. */
static bool is_encoding(char c)
{
	return is_word(c) || c == '+' || c == '/' || c == '=' || c == '-' || c == '%';
}

static char peek(const struct scan *s, size_t at)
{
	return at < s->text.len ? s->text.at[at] : 0;
}

static bool has(const struct scan *s, size_t at, const char *text)
{
	size_t len = strlen(text);
	return at <= s->text.len && s->text.len - at >= len && !memcmp(s->text.at + at, text, len);
}

/* Ends the text where the result is full. */
static void put(struct scan *s, const char *bytes, size_t len)
{
	size_t before = s->out->len;
	text_add_escaped(s->out, bytes, len);
	if (s->out->len <= REDACT_MAX - strlen(MORE))
		return;
	buf_truncate(s->out, before);
	buf_add_text(s->out, MORE);
	s->ended = true;
}

static void cut(struct scan *s)
{
	put(s, CUT, strlen(CUT));
}

/* -- what begins a dump -- */

/* Fields that hold material or lead to it, as protobuf's text format and its JSON spell them. */
static const char *const material[] = {"inline_bytes", "inline_string", "inlineBytes", "inlineString", "private_key",
	"privateKey", "certificate_chain", "certificateChain", "tls_certificate", "tlsCertificate",
	"session_ticket_keys", "sessionTicketKeys", "generic_secret", "genericSecret", "password", "passphrase",
	"secret", "token"};

static size_t word_length(const struct scan *s)
{
	size_t n = 0;
	while (is_word(peek(s, s->at + n)))
		n++;
	return n;
}

static bool is_material(const struct scan *s, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(material); i++)
		if (strlen(material[i]) == len && has(s, s->at, material[i]))
			return true;
	return false;
}

/* `word {` and `word: "` are protobuf's text format, `"word":` is JSON. Envoy's own words have the first only as
 * "unknown field set {1007}" and the second only as `field: "specifier", reason: ...`. */
static bool opens_field(const struct scan *s)
{
	size_t len = word_length(s), at = s->at + len;
	if (!len)
		return false;
	bool quoted = peek(s, at) == '"';
	at += quoted;
	while (peek(s, at) == ' ')
		at++;
	char c = peek(s, at), next = peek(s, at + 1);
	if (c == '{')
		return !is_digit(next);
	if (c != ':' && c != '=')
		return false;
	if (quoted || is_material(s, len))
		return true;
	while (next == ' ')
		next = peek(s, ++at + 1);
	return (next == '"' || next == '\'') && !(len == strlen("field") && has(s, s->at, "field"));
}

/* Of octal, hexadecimal and C escapes: raw bytes in a dump. */
static bool is_escape(const struct scan *s)
{
	char next = peek(s, s->at + 1);
	return peek(s, s->at) == '\\' && (is_digit(next) || (next && strchr("xXnrtu\"'\\", next)));
}

/* Asked at the beginning of a word, or between words. */
static bool is_dump(const struct scan *s)
{
	return is_escape(s) || opens_field(s) || has(s, s->at, "goo.gle/debug") ||
	       (has(s, s->at, "BEGIN ") && is_upper(peek(s, s->at + strlen("BEGIN ")))) || has(s, s->at, "Bearer ");
}

/* -- what looks encoded -- */

/* Names, identifiers, error codes and paths pass; base64, base32 and hex of 16 bytes and more do not. */
static bool looks_encoded(const char *at, size_t len)
{
	if (len > RUN_MAX)
		return true;
	size_t stretch = 0, longest = 0;
	bool upper = false, lower = false, digit = false;
	for (size_t i = 0; i < len; i++) {
		bool joins = at[i] == '/' || at[i] == '-' || at[i] == '_';
		upper |= is_upper(at[i]);
		lower |= is_lower(at[i]);
		digit |= is_digit(at[i]);
		stretch = joins ? 0 : stretch + 1;
		longest = stretch > longest ? stretch : longest;
	}
	if (upper && lower && digit && (len >= 24 || longest >= 16))
		return true;
	return longest >= 48 || (longest >= 24 && digit && (upper || lower));
}

static size_t encoding_length(const struct scan *s, size_t at)
{
	size_t n = 0;
	while (is_encoding(peek(s, at + n)))
		n++;
	return n;
}

/* 30:82:01:..., as openssl prints keys. */
static size_t hex_pairs_length(const struct scan *s)
{
	size_t n = 0;
	while (is_hex(peek(s, s->at + n)) && is_hex(peek(s, s->at + n + 1))) {
		n += 2;
		if (peek(s, s->at + n) != ':')
			break;
		n++;
	}
	return n >= 8 * 3 ? n : 0;
}

/* The next lines of a block that was cut: its last one may be short. */
static void skip_block(struct scan *s)
{
	for (;;) {
		size_t at = s->at;
		while (peek(s, at) == '\r' || peek(s, at) == '\n' || peek(s, at) == ' ' || peek(s, at) == '\t')
			at++;
		if (!memchr(s->text.at + s->at, '\n', at - s->at))
			return;
		size_t n = encoding_length(s, at);
		if (!n)
			return;
		s->at = at + n;
	}
}

/* -- */

static void pass_run(struct scan *s, size_t len)
{
	if (looks_encoded(s->text.at + s->at, len)) {
		cut(s);
		s->at += len;
		skip_block(s);
		return;
	}
	/* A dump may begin within it ("-----BEGIN "), so it goes word by word. */
	size_t n = 1;
	while (n < len && !(is_word(s->text.at[s->at + n]) && !is_word(s->text.at[s->at + n - 1])))
		n++;
	put(s, s->text.at + s->at, n);
	s->at += n;
}

static void pass_character(struct scan *s)
{
	unsigned char lead = (unsigned char)s->text.at[s->at];
	size_t len = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
	bool text = len <= s->text.len - s->at && text_is_utf8(s->text.at + s->at, len) &&
		    (lead >= 0x20 || lead == '\n' || lead == '\t' || lead == '\r');
	if (!text) { /* raw bytes: nobody can say whose */
		cut(s);
		s->ended = true;
		return;
	}
	put(s, s->text.at + s->at, len);
	s->at += len;
}

static void redact_part(struct view text, struct buf *out)
{
	struct scan s = {.text = text, .out = out};
	while (s.at < text.len && !s.ended) {
		size_t run = encoding_length(&s, s.at), pairs = hex_pairs_length(&s);
		if (is_dump(&s)) {
			cut(&s);
			return;
		}
		if (pairs) {
			cut(&s);
			s.at += pairs;
			skip_block(&s);
		} else if (run) {
			pass_run(&s, run);
		} else {
			pass_character(&s);
		}
	}
}

/* After the dump of a Secret that fails validation Envoy tells why, on a line of its own. In the dump itself a line
 * break is an escape. */
static size_t find_reason(struct view text)
{
	static const char mark[] = "\n: Proto constraint validation failed (";
	const char *found = NULL, *end = text.at + text.len;
	for (const char *at = text.at; text.len && (at = memmem(at, (size_t)(end - at), mark, sizeof mark - 1)); at++)
		found = at;
	return found ? (size_t)(found - text.at) : text.len;
}

char *request_redact(struct view text)
{
	struct buf out = BUF_INIT;
	size_t reason = find_reason(text);
	redact_part((struct view){text.at, reason}, &out);
	if (reason < text.len && out.len + strlen(MORE) < REDACT_MAX)
		redact_part((struct view){text.at + reason + 1, text.len - reason - 1}, &out);
	return buf_take_text(&out);
}
