/* tests/fuzz/fuzz_redact.c - any text, and the same text around a private key: what comes out is short, printable UTF-8
 * and holds nothing of the key. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "sds/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Shaped like a key. No piece of it is likely in other texts. */
static const char key[] =
	"-----BEGIN PRIVATE KEY-----\nMIGHAQ0QMBMGBYQGSM49AQEGCCQGSM49AWEHBG0WAQIBAQQG5WWZE2FBQPFA2LFO\n"
	"C5W3IB0PUW0DUBSBUC91M2U8Q7UHRQNCAATKSHRBUK0UKBYJQW0V19QVQ2FKTNBS\nFG3WTKZFTZMH\n"
	"-----END PRIVATE KEY-----\n";

static void check(const char *out)
{
	size_t len = strlen(out);
	invariant(len <= 512 && text_is_utf8(out, len));
	for (size_t i = 0; i < len; i++)
		invariant((unsigned char)out[i] >= 0x20 && out[i] != 0x7f);
}

/* A piece that the text itself holds, outside of any block, may stay. */
static void check_without_key(const char *out, const uint8_t *data, size_t len)
{
	check(out);
	const char *begin = strchr(key, '\n') + 1, *end = strstr(key, "\n-----END");
	for (const char *at = begin; at + 10 <= end; at++) {
		char piece[11];
		memcpy(piece, at, 10);
		piece[10] = 0;
		invariant(strchr(piece, '\n') || !strstr(out, piece) || memmem(data, len, piece, 10));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	AUTO(mem_freep) char *out = request_redact((struct view){(const char *)data, len});
	check(out);
	struct buf around = BUF_INIT;
	size_t before = len ? data[0] % (len + 1) : 0;
	buf_add(&around, data, before);
	buf_add_text(&around, key);
	buf_add(&around, data + before, len - before);
	AUTO(mem_freep) char *redacted = request_redact((struct view){(const char *)around.data, around.len});
	check_without_key(redacted, data, len);
	buf_free(&around);
	return 0;
}
