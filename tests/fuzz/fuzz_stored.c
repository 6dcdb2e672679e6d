/* What is read back from disk: entries in canonical form (0), sealed records (1), wrapped data keys (2). An entry that
 * is read has these very bytes again; nothing that was not sealed here opens. */
#include <stdint.h>
#include <string.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/secret.h"
#include "cache/entry.h"
#include "cache/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_entry(const uint8_t *data, size_t len)
{
	size_t again;
	AUTO(entry_key_unrefp) struct entry_key *k = entry_key_from_bytes(data, len);
	if (!k)
		return;
	const void *bytes = entry_key_bytes(k, &again);
	invariant(again == len && memcmp(bytes, data, len) == 0);
	for (size_t i = 0; i < entry_key_attribute_count(k); i++)
		invariant(strlen(entry_key_attribute(k, i)) < len);
	invariant(strlen(entry_key_text(k)) >= strlen(entry_key_name(k)));
}

static void open_sealed(const uint8_t *data, size_t len, int wrapped)
{
	static const unsigned char key[32] = {1};
	struct buf stored = BUF_INIT;
	AUTO(secret_freep) struct secret *kek = NULL, *opened = NULL;
	AUTO(seal_freep) struct seal *s = NULL, *other = NULL;
	fault_ignore(secret_new(key, sizeof key, &kek), "seen by its result");
	invariant(kek);
	fault_ignore(seal_new(kek, &stored, &s), "seen by its result");
	invariant(s);
	struct fault *f = wrapped ? seal_open_data_key(kek, data, len, NULL, &other)
				  : seal_decrypt(s, "identity", 8, data, len, &opened);
	invariant(f && fault_code(f) == FAULT_CORRUPT && !opened && !other);
	fault_free(f);
	buf_free(&stored);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	if (data[0] == 0)
		read_entry(data + 1, len - 1);
	else
		open_sealed(data + 1, len - 1, data[0] == 2);
	return 0;
}
