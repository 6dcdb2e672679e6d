#include "cache/store_keys.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/fault.h"
#include "base/io/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "cache/seal.h"
#include "cache/seal_key.h"
#include "cache/store_db.h"
#include "cache/store_folder.h"
#include "cache/store_sql.h"

/* Data keys at once, and wrappings of one: beyond, rotations were cut short that often that something is wrong. */
enum { KEYS_MAX = 16, WRAPPINGS_MAX = 8 };

struct data_key {
	int64_t id;
	struct seal *seal; /* NULL: the seal key does not open it */
};

struct store_keys {
	char *path; /* of the key file */
	struct data_key list[KEYS_MAX];
	size_t count;		/* oldest first */
	bool is_first_wrapping; /* the key in place opens the newest data key's first wrapping */
	bool has_former_wrappings;
};

/* A row of seal_key, copied. */
struct wrapped {
	int64_t id;
	struct buf bytes;
};

const struct seal *store_keys_find(const struct store_keys *k, int64_t id)
{
	for (size_t i = 0; i < k->count; i++)
		if (k->list[i].id == id)
			return k->list[i].seal;
	return NULL;
}

const struct seal *store_keys_newest(const struct store_keys *k)
{
	return k->list[k->count - 1].seal;
}

int64_t store_keys_newest_id(const struct store_keys *k)
{
	return k->list[k->count - 1].id;
}

bool store_keys_are_unsettled(const struct store_keys *k)
{
	return k->count > 1 || (k->is_first_wrapping && k->has_former_wrappings);
}

static void forget_all(struct store_keys *k)
{
	while (k->count)
		seal_free(k->list[--k->count].seal);
}

void store_keys_close(struct store_db *db)
{
	if (!db->keys)
		return;
	forget_all(db->keys);
	free(db->keys->path);
	free(db->keys);
	db->keys = NULL;
}

/* --- rows --- */

static void free_rows(struct wrapped *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_free(&rows[i].bytes);
}

static struct fault *read_rows(struct store_db *db, struct wrapped *rows, size_t *ret_count)
{
	sqlite3_stmt *st = NULL;
	bool row = true;
	size_t n = 0;
	TRY(store_sql_prepare(db->sql, "SELECT id, wrapped FROM seal_key ORDER BY id", &st));
	struct fault *f = NULL;
	while (!f && row) {
		f = store_sql_step(st, &row);
		if (f || !row)
			break;
		if (n == KEYS_MAX) {
			f = fault_new(FAULT_CORRUPT, "it holds more than %d data keys", KEYS_MAX);
			break;
		}
		rows[n] = (struct wrapped){sqlite3_column_int64(st, 0), BUF_INIT};
		buf_add(&rows[n++].bytes, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1));
	}
	(void)sqlite3_finalize(st);
	if (f)
		free_rows(rows, n);
	else
		*ret_count = n;
	return f;
}

static struct fault *bind_row(sqlite3_stmt *st, int64_t id, const struct buf *wrapped, int64_t now_ms)
{
	TRY(store_sql_bind_int(st, 1, id));
	TRY(store_sql_bind_bytes(st, 2, wrapped->data, wrapped->len));
	TRY(store_sql_bind_int(st, 3, now_ms));
	return store_sql_finish(st);
}

/* A new row, or the wrappings of an old one. */
static struct fault *write_row(struct store_db *db, int64_t id, const struct buf *wrapped, int64_t now_ms)
{
	sqlite3_stmt *st = NULL;
	TRY(store_sql_prepare(db->sql,
		"INSERT INTO seal_key(id, wrapped, created_at_ms) VALUES(?1, ?2, ?3)"
		" ON CONFLICT(id) DO UPDATE SET wrapped = ?2",
		&st));
	struct fault *f = bind_row(st, id, wrapped, now_ms);
	(void)sqlite3_finalize(st);
	return f;
}

/* --- opening --- */

/* The newest must open: what is put from now on is sealed under it. An older one that does not is as good as lost, and
 * so are the records under it; they are told one by one when they are read. */
static struct fault *open_rows(struct store_keys *k, const struct secret *kek, const struct wrapped *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct data_key *key = &k->list[k->count++];
		bool is_newest = i + 1 == count;
		size_t which = 0;
		*key = (struct data_key){rows[i].id, NULL};
		struct fault *f = seal_open_data_key(kek, rows[i].bytes.data, rows[i].bytes.len, &which, &key->seal);
		if (f && is_newest)
			return f;
		fault_ignore(f, "its records say so");
		k->is_first_wrapping = which == 0;
		k->has_former_wrappings = rows[i].bytes.len > SEAL_WRAPPED_BYTES;
	}
	return NULL;
}

static struct fault *open_with(struct store_db *db, const struct secret *kek)
{
	struct wrapped rows[KEYS_MAX];
	size_t count;
	TRY(read_rows(db, rows, &count));
	struct fault *f =
		count ? open_rows(db->keys, kek, rows, count) : fault_new(FAULT_CORRUPT, "it holds no data key");
	free_rows(rows, count);
	return f;
}

/* Whatever an unfinished first start left goes, and its data key with it. */
static struct fault *begin_anew(struct store_db *db, const struct secret *kek, int64_t now_ms)
{
	struct buf wrapped = BUF_INIT;
	struct store_keys *k = db->keys;
	crash_point("start.key_made");
	struct fault *f = seal_new(kek, &wrapped, &k->list[0].seal);
	if (f)
		return f;
	k->list[0].id = 1;
	k->count = 1;
	k->is_first_wrapping = true;
	f = store_sql_run(db->sql, "BEGIN IMMEDIATE; DELETE FROM version; DELETE FROM blob; DELETE FROM fact;"
				   "DELETE FROM quarantine; DELETE FROM audit; DELETE FROM meta; DELETE FROM seal_key");
	if (!f)
		f = write_row(db, 1, &wrapped, now_ms);
	if (!f)
		f = store_sql_run(db->sql, "COMMIT");
	if (f)
		store_sql_rollback(db->sql);
	crash_point("start.begun");
	buf_free(&wrapped);
	return f;
}

/* A key file that was made to replace the one in place, when a crash came between: it does so if the state was wrapped
 * by it already, or else it goes. */
static struct fault *finish_replacement(struct store_db *db)
{
	AUTO(mem_freep) char *next = mem_printf("%s.new", db->keys->path);
	AUTO(secret_freep) struct secret *kek = NULL;
	if (seal_key_is_credential() || access(next, F_OK) < 0)
		return NULL;
	struct fault *f = seal_key_read(next, &kek);
	if (!f) {
		forget_all(db->keys);
		f = open_with(db, kek);
	}
	if (!f && db->keys->is_first_wrapping) {
		log_event(LOG_INFO, "seal.replaced", LS("file", db->keys->path), LS("why", "a rotation was cut short"));
		return file_rename(next, db->keys->path);
	}
	fault_ignore(f, "nothing was sealed under it");
	(void)unlink(next);
	AUTO(secret_freep) struct secret *in_place = NULL;
	bool created;
	forget_all(db->keys);
	TRY(seal_key_load(db->keys->path, false, &created, &in_place));
	return open_with(db, in_place);
}

struct fault *store_keys_open(struct store_db *db, const struct store_options *o, const struct clock *clock)
{
	AUTO(secret_freep) struct secret *kek = NULL;
	bool created;
	db->keys = mem_new(struct store_keys);
	db->keys->path = mem_strdup(o->seal_file ? o->seal_file : store_folder_seal_key(db->folder));
	struct fault *f = seal_key_load(db->keys->path, !db->is_complete, &created, &kek);
	if (f && db->is_complete && fault_code(f) == FAULT_NOT_FOUND)
		return fault_wrap(f, "state folder %s is sealed, and its seal key is not there; put it back",
			store_folder_path(db->folder));
	TRY(f);
	if (!db->is_complete)
		return begin_anew(db, kek, clock_wall_ms(clock));
	f = open_with(db, kek);
	if (!f)
		f = finish_replacement(db);
	return f ? fault_wrap(f, "state folder %s", store_folder_path(db->folder)) : NULL;
}

/* --- rotating --- */

struct choice {
	struct secret *next;	 /* what wraps from now on */
	struct secret *in_place; /* what must open the state until the next one is; or NULL */
	bool replaces;		 /* next waits beside the key file */
};

static void choice_done(struct choice *c)
{
	secret_free(c->next);
	secret_free(c->in_place);
}

static bool opens(struct store_db *db, const struct secret *kek)
{
	struct store_keys probe = {.count = 0};
	struct wrapped rows[KEYS_MAX];
	size_t count;
	struct fault *f = read_rows(db, rows, &count);
	if (!f) {
		f = open_rows(&probe, kek, rows, count);
		free_rows(rows, count);
	}
	bool yes = !f;
	fault_ignore(f, "it does not");
	forget_all(&probe);
	return yes;
}

static struct fault *make_replacement(const char *path, struct secret **ret)
{
	AUTO(mem_freep) char *next = mem_printf("%s.new", path);
	AUTO(secret_freep) struct secret *key = NULL;
	if (access(next, F_OK) == 0) /* of a rotation that failed further on */
		return seal_key_read(next, ret);
	TRY(seal_key_make(&key));
	struct fault *f = seal_key_write(next, key);
	if (f)
		return fault_wrap(f, "cannot make a new seal key beside the one in place; give one (--to FILE)");
	*ret = TAKE(key);
	return NULL;
}

static struct fault *choose(struct store_db *db, const struct secret *given, struct choice *ret)
{
	AUTO(secret_freep) struct secret *in_place = NULL;
	bool created;
	struct fault *f = seal_key_load(db->keys->path, false, &created, &in_place);
	if (f && (!given || fault_code(f) != FAULT_NOT_FOUND))
		return f;
	fault_free(f);
	bool is_former = in_place && opens(db, in_place);
	if (given) {
		size_t len;
		const unsigned char *bytes = secret_bytes(given, &len);
		TRY(secret_new(bytes, len, &ret->next));
	} else if (!is_former) { /* put there before this order */
		ret->next = TAKE(in_place);
	} else if (seal_key_is_credential()) {
		return fault_new(FAULT_INVALID,
			"the seal key is a systemd credential, which only its unit can replace; "
			"give the new one (--to FILE)");
	} else {
		TRY(make_replacement(db->keys->path, &ret->next));
		ret->replaces = true;
	}
	if (is_former && in_place)
		ret->in_place = TAKE(in_place);
	return NULL;
}

/* All former data keys, wrapped by the next seal key too. */
static struct fault *wrap_former(struct store_db *db, const struct secret *next, int64_t now_ms)
{
	struct wrapped rows[KEYS_MAX];
	size_t count;
	struct fault *f = NULL;
	TRY(read_rows(db, rows, &count));
	if (count == KEYS_MAX)
		f = fault_new(
			FAULT_CONFLICT, "%d data keys are waiting for a rotation to end; restart leafcast", KEYS_MAX);
	for (size_t i = 0; i < count && !f; i++) {
		const struct seal *seal = store_keys_find(db->keys, rows[i].id);
		struct buf wrapped = BUF_INIT;
		if (!seal)
			continue;
		f = seal_wrap(seal, next, &wrapped);
		buf_add(&wrapped, rows[i].bytes.data, rows[i].bytes.len);
		if (wrapped.len > WRAPPINGS_MAX * SEAL_WRAPPED_BYTES)
			buf_truncate(&wrapped, WRAPPINGS_MAX * SEAL_WRAPPED_BYTES);
		if (!f)
			f = write_row(db, rows[i].id, &wrapped, now_ms);
		buf_free(&wrapped);
	}
	free_rows(rows, count);
	return f;
}

static struct fault *add_newest(struct store_db *db, const struct choice *c, int64_t now_ms, struct data_key *ret)
{
	struct buf wrapped = BUF_INIT;
	ret->id = store_keys_newest_id(db->keys) + 1;
	struct fault *f = seal_new(c->next, &wrapped, &ret->seal);
	if (!f && c->in_place)
		f = seal_wrap(ret->seal, c->in_place, &wrapped);
	if (!f)
		f = write_row(db, ret->id, &wrapped, now_ms);
	buf_free(&wrapped);
	return f;
}

static struct fault *write_choice(struct store_db *db, const struct choice *c, int64_t now_ms)
{
	struct data_key newest = {0, NULL};
	TRY(store_sql_run(db->sql, "BEGIN IMMEDIATE"));
	struct fault *f = wrap_former(db, c->next, now_ms);
	if (!f)
		f = add_newest(db, c, now_ms, &newest);
	if (!f)
		f = store_sql_run(db->sql, "COMMIT");
	if (f) {
		store_sql_rollback(db->sql);
		seal_free(newest.seal);
		return f;
	}
	db->keys->list[db->keys->count++] = newest;
	return NULL;
}

static struct fault *replace_file(struct store_db *db)
{
	AUTO(mem_freep) char *next = mem_printf("%s.new", db->keys->path);
	struct fault *f = file_rename(next, db->keys->path);
	return f ? fault_wrap(f, "the state is sealed under %s, which could not take its place", next) : NULL;
}

struct fault *store_keys_rotate(struct store_db *db, const struct secret *given, int64_t now_ms)
{
	struct choice c = {NULL, NULL, false};
	struct fault *f = choose(db, given, &c);
	crash_point("seal.key_made");
	if (!f)
		f = write_choice(db, &c, now_ms);
	crash_point("seal.wrapped");
	if (!f && c.replaces)
		f = replace_file(db);
	crash_point("seal.replaced");
	choice_done(&c);
	return f;
}

/* --- settling --- */

static struct fault *drop_unused(struct store_db *db)
{
	AUTO(mem_freep)
	char *sql = mem_printf("DELETE FROM seal_key WHERE id <> %lld"
			       " AND NOT EXISTS (SELECT 1 FROM version WHERE version.seal_key = seal_key.id)"
			       " AND NOT EXISTS (SELECT 1 FROM blob WHERE blob.seal_key = seal_key.id)",
		(long long)store_keys_newest_id(db->keys));
	return store_sql_run(db->sql, sql);
}

static struct fault *drop_former_wrappings(struct store_db *db)
{
	AUTO(mem_freep)
	char *sql = mem_printf("UPDATE seal_key SET wrapped = substr(wrapped, 1, %d)", SEAL_WRAPPED_BYTES);
	return store_sql_run(db->sql, sql);
}

static struct fault *settle(struct store_db *db, bool is_in_place)
{
	TRY(store_sql_run(db->sql, "BEGIN IMMEDIATE"));
	TRY(drop_unused(db));
	if (is_in_place)
		TRY(drop_former_wrappings(db));
	return store_sql_run(db->sql, "COMMIT");
}

struct fault *store_keys_settle(struct store_db *db, bool *ret_waits)
{
	AUTO(secret_freep) struct secret *kek = NULL;
	bool created;
	struct store_keys fresh = {.count = 0};
	struct wrapped rows[KEYS_MAX];
	size_t count;
	TRY(seal_key_load(db->keys->path, false, &created, &kek));
	TRY(read_rows(db, rows, &count));
	struct fault *f = open_rows(&fresh, kek, rows, count);
	free_rows(rows, count);
	bool is_in_place = !f && fresh.is_first_wrapping;
	fault_ignore(f, "the key in place is not the newest: it is waited for");
	forget_all(&fresh);
	db->scrub_due = true;
	f = settle(db, is_in_place);
	if (f) {
		store_sql_rollback(db->sql);
		return f;
	}
	crash_point("seal.settled");
	*ret_waits = !is_in_place;
	/* Those that are gone from the file go from memory too. */
	TRY(read_rows(db, rows, &count));
	for (size_t i = 0, kept = 0, all = db->keys->count; i < all; i++) {
		struct data_key *key = &db->keys->list[i];
		bool is_left = false;
		for (size_t r = 0; r < count; r++)
			is_left = is_left || rows[r].id == key->id;
		if (is_left)
			db->keys->list[kept++] = *key;
		else
			seal_free(key->seal);
		db->keys->count = kept;
	}
	free_rows(rows, count);
	return NULL;
}
