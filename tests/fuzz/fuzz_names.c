/* tests/fuzz/fuzz_names.c - names, and what is made of them. The first byte says what the others are: a pattern and a
 * text (0), a template and two callers' attributes (1), a subject alternative name (2), a text to be shown (3), a
 * duration (4). */
#include <openssl/x509v3.h>
#include <stdlib.h>
#include "base/attr.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/san.h"
#include "base/text.h"
#include "cache/entry.h"
#include "control/pattern.h"
#include "control/template.h"
#include "base/duration.h"
#include "tests/fuzz/input.h"

enum { TEXT_MAX = 200 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* -- patterns: the same answer as from a table of all prefixes -- */

static bool matches(const char *pattern, const char *text, char sep)
{
	static bool fits[TEXT_MAX + 1][TEXT_MAX + 1]; /* of pattern and text, so much from the front */
	size_t p_len = strlen(pattern), t_len = strlen(text);
	for (size_t p = 0; p <= p_len; p++)
		for (size_t t = 0; t <= t_len; t++) {
			bool star = p && pattern[p - 1] == '*';
			bool wide = star && ((p > 1 && pattern[p - 2] == '*') || pattern[p] == '*');
			fits[p][t] = !p && !t;
			if (star)
				fits[p][t] = fits[p - 1][t] || (t && fits[p][t - 1] && (wide || text[t - 1] != sep));
			else if (p && t)
				fits[p][t] = fits[p - 1][t - 1] && pattern[p - 1] == text[t - 1];
		}
	return fits[p_len][t_len];
}

static void try_pattern(struct input *in)
{
	static const char separators[] = {'/', '.', ','};
	char sep = separators[input_byte(in) % ARRAY_LEN(separators)];
	AUTO(mem_freep) char *pattern = input_text(in);
	AUTO(mem_freep) char *text = input_text(in);
	size_t len = strlen(text);
	struct pattern p;
	if (strlen(pattern) > PATTERN_MAX)
		return;
	pattern_init(&p, pattern, sep);
	bool yes = pattern_matches(&p, text, len);
	if (strlen(pattern) <= TEXT_MAX && len <= TEXT_MAX)
		invariant(yes == matches(pattern, text, sep));
	pattern_done(&p);
}

/* -- templates: two callers whose attributes differ never get one name -- */

/* The caller's attributes are as many as the template has variables, in its order. */
static struct entry_key *caller(const struct template *t, struct input *in)
{
	char *texts[8];
	size_t count = template_variable_count(t);
	invariant(count <= ARRAY_LEN(texts));
	for (size_t i = 0; i < count; i++) {
		AUTO(mem_freep) char *value = input_text(in);
		texts[i] = mem_printf("%s=%s", template_variable(t, i), value);
	}
	struct entry_key *e = entry_key_new("n", (const char *const *)texts, count);
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
	return e;
}

/* What the caller's certificate would say; empty where it gets none. */
static struct san_set names_of(const struct template *t, const struct entry_key *e, enum san_type type)
{
	struct san_set set = {NULL, 0};
	AUTO(mem_freep) char *text = NULL;
	AUTO(fault_freep) struct fault *f = template_expand(t, e, &text);
	invariant((f == NULL) == (text != NULL));
	if (!f)
		f = san_set_add(&set, type, text);
	return set;
}

static void try_template(struct input *in)
{
	enum san_type type = (enum san_type)(input_byte(in) % 4);
	AUTO(mem_freep) char *text = input_text(in);
	struct template *t = NULL;
	AUTO(fault_freep) struct fault *f = template_parse(text, type, &t);
	invariant((f == NULL) == (t != NULL));
	if (f)
		return;
	AUTO(entry_key_unrefp) struct entry_key *a = caller(t, in), *b = caller(t, in);
	struct san_set of_a = names_of(t, a, type), of_b = names_of(t, b, type);
	if (of_a.count && of_b.count && !entry_key_equal(a, b))
		invariant(!san_set_equal(&of_a, &of_b));
	san_set_free(&of_a);
	san_set_free(&of_b);
	template_free(t);
}

/* -- alternative names: what is taken is the same when read out of a certificate -- */

static void check_certificate(const struct san_set *set)
{
	struct san_set again = {NULL, 0};
	X509_EXTENSION *e = NULL;
	X509 *cert = X509_new();
	struct fault *f = san_set_to_extension(set, true, &e);
	invariant(!f && cert && X509_add_ext(cert, e, -1) == 1);
	f = san_set_from_cert(cert, &again);
	invariant(!f && san_set_equal(set, &again));
	san_set_free(&again);
	X509_EXTENSION_free(e);
	X509_free(cert);
}

static void try_san(struct input *in)
{
	struct san_set set = {NULL, 0};
	struct buf shown = BUF_INIT;
	while (in->left) {
		size_t before = set.count;
		enum san_type type = (enum san_type)(input_byte(in) % 4);
		AUTO(mem_freep) char *text = input_text(in);
		AUTO(fault_freep) struct fault *f = san_set_add(&set, type, text);
		invariant(set.count == before || (!f && set.count == before + 1));
		invariant(
			!f || text_is_utf8(fault_text(f), strlen(fault_text(f))) || !text_is_utf8(text, strlen(text)));
	}
	for (size_t i = 0; i < set.count; i++) {
		struct fault *f = san_set_add(&set, set.items[i].type, set.items[i].value); /* its own form */
		invariant(!f && san_set_contains(&set, set.items[i].type, set.items[i].value));
	}
	san_set_print(&set, &shown);
	invariant(text_is_utf8(shown.data, shown.len));
	if (set.count)
		check_certificate(&set);
	buf_free(&shown);
	san_set_free(&set);
}

/* -- texts: shown without anything that a terminal obeys -- */

static void try_text(struct input *in)
{
	static const char *const words[] = {"default", "secret", "authority", "listen", ""};
	struct buf b = BUF_INIT;
	bool utf8 = text_is_utf8(in->at, in->left);
	text_add_escaped(&b, in->at, in->left);
	invariant(b.len >= in->left && text_is_utf8(b.data, b.len));
	for (size_t i = 0; i < b.len; i++)
		invariant(b.data[i] >= 0x20 && b.data[i] != 0x7f);
	invariant(!text_is_name(in->at, in->left) || (utf8 && in->left && !memchr(in->at, 0, in->left)));
	AUTO(mem_freep) char *word = input_text(in);
	const char *nearest = text_nearest(word, words, ARRAY_LEN(words));
	bool known = !nearest;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		known = known || nearest == words[i];
	invariant(known);
	buf_free(&b);
}

static void try_duration(struct input *in)
{
	int64_t ms = 0, again = 0;
	char text[64];
	AUTO(mem_freep) char *given = input_text(in);
	if (!duration_parse(given, &ms))
		return;
	invariant(ms >= 0);
	invariant(duration_parse(duration_text(ms, text, sizeof text), &again) && again == ms);
	text_duration(ms, text, sizeof text);
	invariant(strlen(text) < sizeof text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const tries[])(struct input * in) = {try_pattern, try_template, try_san, try_text, try_duration};
	struct input in = {data, len};
	tries[input_byte(&in) % ARRAY_LEN(tries)](&in);
	return 0;
}
