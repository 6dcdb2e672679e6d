/* What is read back from disk: entries in canonical form (0), sealed records (1), wrapped data keys (2), what a
 * version's certificates say (3), the record of an authority's anchors (4), and of those that are
 * banned (5). What is read is written as it was; nothing
 * that was not sealed here opens. */
#include <stdint.h>
#include <string.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/secret.h"
#include "cache/description.h"
#include "cache/entry.h"
#include "cache/seal.h"
#include "control/trust_bans.h"
#include "control/trust_record.h"

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

/* is_ca is any number but 0 when it is read, and 1 when it is written: the second time it is stable. */
static void read_description(const uint8_t *data, size_t len)
{
	struct description d = {NULL, 0}, again = {NULL, 0};
	struct buf first = BUF_INIT, second = BUF_INIT;
	struct fault *f = description_read(data, len, &d);
	if (f) {
		invariant(fault_code(f) == FAULT_CORRUPT && !d.certs);
		fault_free(f);
		return;
	}
	(void)description_not_before_ms(&d);
	(void)description_not_after_ms(&d);
	description_write(&d, &first);
	f = description_read(first.data, first.len, &again);
	invariant(!f && first.len == len && again.count == d.count);
	description_write(&again, &second);
	invariant(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
	description_free(&d);
	description_free(&again);
	buf_free(&first);
	buf_free(&second);
}

static void read_anchors(const uint8_t *data, size_t len)
{
	AUTO(secret_freep) struct secret *bytes = NULL;
	struct trust_record *r = NULL;
	struct fault *f = secret_new(data, len, &bytes);
	if (!f)
		f = trust_record_decode(bytes, &r);
	invariant((f == NULL) == (r != NULL));
	if (r)
		(void)trust_record_count(r);
	trust_record_free(r);
	fault_free(f);
}

static void read_bans(const uint8_t *data, size_t len)
{
	AUTO(secret_freep) struct secret *bytes = NULL, *again = NULL;
	struct trust_bans *b = NULL;
	struct fault *f = secret_new(data, len, &bytes);
	if (!f)
		f = trust_bans_decode(bytes, &b);
	invariant((f == NULL) == (b != NULL));
	if (b) {
		invariant(trust_bans_count(b) <= TRUST_BANS_MAX);
		f = trust_bans_encode(b, &again);
		invariant(!f);
	}
	trust_bans_free(b);
	fault_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	if (data[0] == 0)
		read_entry(data + 1, len - 1);
	else if (data[0] == 3)
		read_description(data + 1, len - 1);
	else if (data[0] == 4)
		read_anchors(data + 1, len - 1);
	else if (data[0] == 5)
		read_bans(data + 1, len - 1);
	else
		open_sealed(data + 1, len - 1, data[0] == 2);
	return 0;
}
