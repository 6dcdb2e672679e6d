/* cache/store_folder.h - the state folder: made, checked and locked; the database file's place in it; a mark that a
 * first start was once completed here, so that a folder that lost its database is never taken for a new one. Blocking.
 */
#ifndef CACHE_STORE_FOLDER_H
#define CACHE_STORE_FOLDER_H
#include <stdbool.h>
#include "base/attr.h"
struct clock;
struct fault;
struct store_folder;

/** A backup under way, in the folder; what a crash left of one goes when the folder is opened. */
#define STORE_FOLDER_COPY "backup.tmp"

/** Faults: CONFLICT (another process has it), INVALID (others can write in it; a seal key or the mark, but no
 * database). The caller owns *ret: store_folder_close(). */
MUST_USE struct fault *store_folder_open(const char *path, struct store_folder **ret);
/** For one that is to get its database: CONFLICT alone. */
MUST_USE struct fault *store_folder_open_for_restore(const char *path, struct store_folder **ret);
const char *store_folder_path(const struct store_folder *f);
/** "<folder>/leafcast.db". Borrowed. */
const char *store_folder_database(const struct store_folder *f);
/** "<folder>/seal.key". Borrowed. */
const char *store_folder_seal_key(const struct store_folder *f);
/** Was a first start completed here? */
bool store_folder_is_marked(const struct store_folder *f);
MUST_USE struct fault *store_folder_mark(struct store_folder *f);
/** Make the database file, empty and 0600, where there is none; an existing one's mode is put right. INVALID: no
 * regular file. */
MUST_USE struct fault *store_folder_prepare_database(struct store_folder *f);
/** The log is open: it is to stay, like the database. */
void store_folder_note_log(struct store_folder *f);
/** UNAVAILABLE, retryable: the database file (or its log) is not the one any more that was prepared: what is written
 * now would be gone with the process. */
MUST_USE struct fault *store_folder_check_database(const struct store_folder *f);
/** Rename the database and its log, overwriting nothing. Takes what was found wrong and returns it with the new name
 * and what an operator can do: CORRUPT. */
struct fault *store_folder_set_aside(struct store_folder *f, const struct clock *clock, struct fault *why);
/** Unlocks. NULL is fine. */
void store_folder_close(struct store_folder *f);
void store_folder_closep(struct store_folder **f);
#endif
