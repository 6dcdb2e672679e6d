/* cache/store_restore.c - puts a backup back: checked first, then copied beside its place, then renamed, so that what a
 * crash leaves is no state, and the same command goes on from it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "cache/seal_key.h"
#include "cache/store.h"
#include "cache/store_check.h"
#include "cache/store_db.h"
#include "cache/store_folder.h"

static const char PART[] = "leafcast.db.restoring", DAMAGED[] = "leafcast.db.damaged-";
/* "seal.key.new", and its own temporary on file systems that have no unnamed files. */
static const char NEXT_KEY[] = "seal.key.", NEXT[] = ".new";

static void close_fdp(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

/* A seal key that was to come next when a crash ended its rotation: the one in place opens all that it would. The next
 * start takes it, or clears it away. */
static bool is_next_key(const char *name)
{
	size_t len = strlen(name), tail = sizeof NEXT - 1;
	return strncmp(name, NEXT_KEY, sizeof NEXT_KEY - 1) == 0 && len >= sizeof NEXT_KEY - 2 + tail &&
	       strcmp(name + len - tail, NEXT) == 0;
}

/* A seal key may have been put there before, a damaged database set aside; what an earlier try or a crash left is ours.
 */
static bool is_allowed(const char *name)
{
	static const char *const names[] = {".", "..", "lock", "seal.key", PART};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return strncmp(name, DAMAGED, sizeof DAMAGED - 1) == 0 || is_next_key(name);
}

static struct fault *check_empty(const char *folder)
{
	DIR *d = opendir(folder);
	struct fault *f = NULL;
	if (!d)
		return fault_errno(errno, "cannot open state folder %s", folder);
	for (struct dirent *e; !f && (e = readdir(d));)
		if (!is_allowed(e->d_name))
			f = fault_new(FAULT_CONFLICT,
				"state folder %s is not empty (%.64s): nothing is overwritten; move it away first",
				folder, e->d_name);
	(void)closedir(d);
	return f;
}

static struct fault *copy(int from, int to, const char *path)
{
	char chunk[64 * 1024];
	for (;;) {
		ssize_t n = read(from, chunk, sizeof chunk);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_errno(errno, "cannot read the backup");
		if (n == 0)
			break;
		for (ssize_t done = 0; done < n;) {
			ssize_t w = write(to, chunk + done, (size_t)(n - done));
			if (w < 0 && errno != EINTR)
				return fault_errno(errno, "cannot write %s", path);
			done += w > 0 ? w : 0;
		}
	}
	return fsync(to) < 0 ? fault_errno(errno, "cannot write %s", path) : NULL;
}

static struct fault *copy_file(const char *from, const char *path)
{
	AUTO(close_fdp) int in = open(from, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (in < 0)
		return fault_errno(errno, "cannot open %s", from);
	if (unlink(path) < 0 && errno != ENOENT)
		return fault_errno(errno, "cannot remove %s", path);
	AUTO(close_fdp) int out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (out < 0)
		return fault_errno(errno, "cannot create %s", path);
	return copy(in, out, path);
}

/* Into its place, where there is none yet. */
static struct fault *place_key(const char *from, const char *path)
{
	AUTO(secret_freep) struct secret *key = NULL, *there = NULL;
	TRY(seal_key_read(from, &key));
	struct fault *f = seal_key_read(path, &there);
	if (f && fault_code(f) == FAULT_NOT_FOUND) {
		fault_free(f);
		return seal_key_write(path, key);
	}
	TRY(f);
	return secret_equal(key, there)
		       ? NULL
		       : fault_new(FAULT_CONFLICT, "%s holds another seal key; nothing is overwritten", path);
}

static struct fault *check_key(const char *part, const struct store_restore_options *o, const char *place)
{
	AUTO(secret_freep) struct secret *kek = NULL;
	bool created;
	struct fault *f =
		o->seal_from ? seal_key_read(o->seal_from, &kek) : seal_key_load(place, false, &created, &kek);
	if (f && fault_code(f) == FAULT_NOT_FOUND)
		return fault_wrap(f, "a backup opens with the seal key of its day alone; give it by --seal-key FILE");
	TRY(f);
	return store_check_key(part, kek);
}

static struct fault *restore(
	struct store_folder *folder, const char *from, const struct store_restore_options *o, struct store_content *ret)
{
	AUTO(mem_freep) char *part = mem_printf("%s/%s", o->folder, PART);
	const char *place = o->seal_file ? o->seal_file : store_folder_seal_key(folder);
	TRY(check_empty(o->folder));
	TRY(copy_file(from, part));
	struct fault *f = store_check_file(part, ret);
	if (!f)
		f = check_key(part, o, place);
	if (f) {
		(void)unlink(part);
		return f;
	}
	if (o->seal_from)
		TRY(place_key(o->seal_from, place));
	TRY(file_rename(part, store_folder_database(folder)));
	return store_folder_mark(folder);
}

struct fault *store_restore(const char *from, const struct store_restore_options *o, struct store_content *ret)
{
	AUTO(store_folder_closep) struct store_folder *folder = NULL;
	struct store_content content;
	TRY(store_folder_open_for_restore(o->folder, &folder));
	struct fault *f = restore(folder, from, o, &content);
	if (f)
		return fault_wrap(f, "cannot restore %s", from);
	*ret = content;
	return NULL;
}
