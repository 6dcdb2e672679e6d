/* tests/fuzz/input.h - a fuzzer's bytes taken from the front, piece by piece; when they are used up, zeros and empty
 * pieces come. */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "base/mem.h"

struct input {
	const uint8_t *at;
	size_t left;
};

static inline unsigned input_byte(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->at++;
}

/* Up to the next NUL, or the end; the caller owns it. */
static inline char *input_text(struct input *in)
{
	const uint8_t *end = in->left ? memchr(in->at, 0, in->left) : NULL;
	size_t len = end ? (size_t)(end - in->at) : in->left;
	char *text = mem_strndup((const char *)in->at, len);
	in->at += len + (end ? 1 : 0);
	in->left -= len + (end ? 1 : 0);
	return text;
}
#endif
