#include "base/io/json_text.h"
#include "base/buf.h"
#include "base/io/json_memory.h"

/* jansson escapes what is below 0x20 (RFC 8259, section 7), and what is above 0x7f when asked to: DEL remains, and can
 * stand nowhere but in a text. */
char *json_text(const json_t *o, size_t flags)
{
	struct buf b = BUF_INIT;
	char *text = o ? json_dumps(o, flags | JSON_ENSURE_ASCII) : NULL;
	if (!text)
		return NULL;
	for (const char *p = text; *p; p++)
		if (*p == 0x7f)
			buf_add_text(&b, "\\u007f");
		else
			buf_add(&b, p, 1);
	json_memory_free_text(text);
	return buf_take_text(&b);
}
