/* tests/fuzz/fuzz_backup.c - a file that is to be restored: any bytes as a state (first byte 0), and as a seal key (1).
 * What passes says how much is in it; a key that is not the state's is refused. */
#include <stdlib.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/secret.h"
#include "cache/seal_key.h"
#include "cache/store_check.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* SQLite follows links, so it has to have a name. */
static char path[] = "/tmp/leafcast-fuzz-XXXXXX";
static int file;

static void remove_file(void)
{
	(void)unlink(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	file = mkstemp(path);
	invariant(file >= 0 && atexit(remove_file) == 0);
	return 0;
}

/* A damaged file, or one that is not ours: never an error of our own. */
static void check_fault(struct fault *f)
{
	invariant(
		fault_code(f) == FAULT_CORRUPT || fault_code(f) == FAULT_INVALID || fault_code(f) == FAULT_UNAVAILABLE);
	fault_free(f);
}

static void try_state(void)
{
	static const unsigned char other[SEAL_KEY_BYTES] = {1};
	struct store_content content = {-1, -1, -1};
	AUTO(secret_freep) struct secret *kek = NULL;
	struct fault *f = store_check_file(path, &content);
	if (f) {
		invariant(content.versions == -1);
		check_fault(f);
		return;
	}
	invariant(content.versions >= 0 && content.entries >= 0 && content.entries <= content.versions);
	f = secret_new(other, sizeof other, &kek);
	invariant(!f);
	f = store_check_key(path, kek);
	invariant(f);
	check_fault(f);
}

static void try_key(const struct input *in)
{
	AUTO(secret_freep) struct secret *key = NULL;
	size_t len = 0;
	struct fault *f = seal_key_parse("the key", in->at, in->left, &key);
	invariant((f == NULL) == (key != NULL));
	if (f) {
		check_fault(f);
		return;
	}
	(void)secret_bytes(key, &len);
	invariant(len == SEAL_KEY_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = {data, len};
	if (input_byte(&in) % 2) {
		try_key(&in);
		return 0;
	}
	invariant(ftruncate(file, 0) == 0 && pwrite(file, in.at, in.left, 0) == (ssize_t)in.left);
	try_state();
	return 0;
}
