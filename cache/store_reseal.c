#include "cache/store_reseal.h"
#include <stdlib.h>
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "cache/store_db.h"
#include "cache/store_keys.h"
#include "cache/store_sql.h"
#include "cache/store_task.h"

/* Records in one transaction: a few milliseconds, which is what a commit may have to wait. */
enum { RECORDS_PER_STEP = 64 };

enum phase { PHASE_KEY, PHASE_VERSIONS, PHASE_BLOBS, PHASE_SETTLE };

struct reseal {
	struct store_task task;
	enum phase phase;
	bool rotates;
	struct secret *given;
	int64_t after;	  /* version.seq that was done */
	char *after_name; /* blob.name likewise */
	struct store_rotation result;
	void (*done)(void *arg, struct fault *f, const struct store_rotation *r);
	void *arg;
};

static void finalizep(sqlite3_stmt **st)
{
	(void)sqlite3_finalize(*st);
	*st = NULL;
}

bool store_needs_reseal(struct store_db *db)
{
	int64_t left = 0;
	if (!db->is_complete)
		return false;
	struct fault *f = store_sql_int(db->sql,
		"SELECT EXISTS(SELECT 1 FROM version WHERE description IS NULL OR seal_key <> (SELECT max(id) FROM "
		"seal_key))"
		" OR EXISTS(SELECT 1 FROM blob WHERE seal_key <> (SELECT max(id) FROM seal_key))",
		&left);
	fault_ignore(f, "the next start looks again");
	return left || store_keys_are_unsettled(db->keys);
}

/* A record that the seal does not vouch for stays as it is, to be told at each start. */
static struct fault *pass_over(struct reseal *r, struct fault *f)
{
	if (fault_code(f) != FAULT_CORRUPT && fault_code(f) != FAULT_INVALID)
		return f;
	r->result.damaged++;
	log_event(LOG_WARN, "seal.record_left", LF(f));
	fault_free(f);
	return NULL;
}

static struct fault *reseal_version(struct reseal *r, struct store_db *db, sqlite3_stmt *st)
{
	struct store_record record;
	AUTO(version_unrefp) struct version *v = NULL;
	store_record_read(st, &record);
	r->after = sqlite3_column_int64(st, STORE_RECORD_COLUMN_COUNT);
	struct fault *f = store_record_open(db, &record, &v);
	if (f)
		return pass_over(r, f);
	r->result.records++;
	return store_record_reseal(db, r->after, v);
}

static struct fault *reseal_versions(struct reseal *r, struct store_db *db, size_t *ret_count)
{
	AUTO(finalizep) sqlite3_stmt *st = NULL;
	TRY(store_sql_prepare(db->sql,
		"SELECT " STORE_RECORD_COLUMNS ", seq FROM version"
		" WHERE seq > ?1 AND (seal_key <> ?2 OR description IS NULL) ORDER BY seq LIMIT ?3",
		&st));
	TRY(store_sql_bind_int(st, 1, r->after));
	TRY(store_sql_bind_int(st, 2, store_keys_newest_id(db->keys)));
	TRY(store_sql_bind_int(st, 3, RECORDS_PER_STEP));
	for (bool row = true;;) {
		TRY(store_sql_step(st, &row));
		if (!row)
			return NULL;
		++*ret_count;
		TRY(reseal_version(r, db, st));
	}
}

static struct fault *reseal_blob(struct reseal *r, struct store_db *db, sqlite3_stmt *st)
{
	AUTO(secret_freep) struct secret *bytes = NULL;
	free(r->after_name);
	r->after_name = mem_strdup((const char *)sqlite3_column_text(st, 0));
	const void *sealed = sqlite3_column_blob(st, 2);
	struct fault *f = store_blob_unseal(
		db, r->after_name, sqlite3_column_int64(st, 1), sealed, (size_t)sqlite3_column_bytes(st, 2), &bytes);
	if (f)
		return pass_over(r, f);
	r->result.records++;
	return store_blob_put(db, r->after_name, bytes);
}

static struct fault *reseal_blobs(struct reseal *r, struct store_db *db, size_t *ret_count)
{
	AUTO(finalizep) sqlite3_stmt *st = NULL;
	AUTO(mem_freep) char *after = mem_strdup(r->after_name ? r->after_name : "");
	TRY(store_sql_prepare(db->sql,
		"SELECT name, seal_key, sealed FROM blob WHERE name > ?1 AND seal_key <> ?2 ORDER BY name LIMIT ?3",
		&st));
	TRY(store_sql_bind_text(st, 1, after));
	TRY(store_sql_bind_int(st, 2, store_keys_newest_id(db->keys)));
	TRY(store_sql_bind_int(st, 3, RECORDS_PER_STEP));
	for (bool row = true;;) {
		TRY(store_sql_step(st, &row));
		if (!row)
			return NULL;
		++*ret_count;
		TRY(reseal_blob(r, db, st));
	}
}

/* Some records in one transaction; none left: the next phase. */
static struct fault *some(struct reseal *r, struct store_db *db,
	struct fault *(*reseal)(struct reseal *r, struct store_db *db, size_t *ret_count))
{
	size_t count = 0;
	TRY(store_sql_run(db->sql, "BEGIN IMMEDIATE"));
	struct fault *f = reseal(r, db, &count);
	crash_point("seal.step_filled");
	if (!f)
		f = store_sql_run(db->sql, "COMMIT");
	if (f)
		store_sql_rollback(db->sql);
	else if (count < RECORDS_PER_STEP)
		r->phase++;
	crash_point("seal.step_committed");
	return f;
}

static struct fault *advance(struct reseal *r, struct store_db *db)
{
	switch (r->phase) {
	case PHASE_KEY:
		r->phase = PHASE_VERSIONS;
		return r->rotates ? store_keys_rotate(db, r->given, clock_wall_ms(clock_system())) : NULL;
	case PHASE_VERSIONS:
		return some(r, db, reseal_versions);
	case PHASE_BLOBS:
		return some(r, db, reseal_blobs);
	case PHASE_SETTLE:
		break;
	}
	TRY(store_keys_settle(db, &r->result.waits));
	store_db_scrub(db);
	return NULL;
}

static bool step(struct store_task *t, struct store_db *db, bool stopping)
{
	struct reseal *r = container_of(t, struct reseal, task);
	bool is_last = r->phase == PHASE_SETTLE;
	if (!t->fault)
		t->fault = stopping ? store_task_stopped() : advance(r, db);
	return t->fault || is_last;
}

static void ended(struct store_task *t)
{
	struct reseal *r = container_of(t, struct reseal, task);
	struct fault *f = t->fault;
	if (f)
		log_event(LOG_WARN, "seal.unfinished", LI("records", r->result.records),
			LS("effect", "the state opens with the seal key in place; the next start goes on"), LF(f));
	else
		log_event(LOG_INFO, "seal.renewed", LB("rotated", r->rotates), LI("records", r->result.records),
			LI("damaged", r->result.damaged), LB("waits_for_the_new_key", r->result.waits));
	if (r->done)
		r->done(r->arg, f, &r->result);
	else
		fault_free(f);
	secret_free(r->given);
	free(r->after_name);
	free(r);
}

struct store_task *store_reseal_new(bool rotates, struct secret *given,
	void (*done)(void *arg, struct fault *f, const struct store_rotation *r), void *arg)
{
	struct reseal *r = mem_new(struct reseal);
	r->task.step = step;
	r->task.ended = ended;
	r->rotates = rotates;
	r->given = given;
	r->done = done;
	r->arg = arg;
	return &r->task;
}

void store_rotate_seal(struct store *s, const struct secret *given,
	void (*done)(void *arg, struct fault *f, const struct store_rotation *r), void *arg)
{
	struct secret *copy = NULL;
	size_t len;
	const unsigned char *bytes = given ? secret_bytes(given, &len) : NULL;
	struct fault *f = bytes ? secret_new(bytes, len, &copy) : NULL;
	struct store_task *t = store_reseal_new(true, copy, done, arg);
	t->fault = f;
	store_run(s, t);
}
