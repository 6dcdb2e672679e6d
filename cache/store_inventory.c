/* cache/store_inventory.c - the task that lists what is stored: each record is opened, so that what is listed is what
 * the seal vouches for, and only what it says is kept. In steps, with the list growing; an entry that changes meanwhile
 * may show both versions. */
#include <stdlib.h>
#include <string.h>
#include "base/fault.h"
#include "base/mem.h"
#include "base/text.h"
#include "cache/description.h"
#include "cache/entry.h"
#include "cache/store_db.h"
#include "cache/store_sql.h"
#include "cache/store_task.h"

enum { RECORDS_PER_STEP = 512 };

struct item {
	struct store_listed listed;
	struct description description;
};

struct listing {
	struct store_task task;
	struct item *items;
	size_t count, capacity;
	int64_t after; /* version.seq */
	void (*done)(void *arg, struct fault *f, const struct store_inventory *list);
	void *arg;
};

static void finalizep(sqlite3_stmt **st)
{
	(void)sqlite3_finalize(*st);
	*st = NULL;
}

static struct item *add(struct listing *l)
{
	if (l->count == l->capacity) {
		l->capacity = l->capacity ? 2 * l->capacity : 256;
		l->items = mem_realloc(l->items, l->capacity * sizeof *l->items);
	}
	struct item *i = &l->items[l->count++];
	memset(i, 0, sizeof *i);
	return i;
}

static enum secret_kind kind_of(const struct store_version_row *r)
{
	return r->kind == SECRET_TLS_CERTIFICATE || r->kind == SECRET_VALIDATION_CONTEXT ? (enum secret_kind)r->kind
											 : 0;
}

static struct fault *list_record(struct listing *l, struct store_db *db, const struct store_record *r)
{
	AUTO(version_unrefp) struct version *v = NULL;
	struct fault *f = store_record_open(db, r, &v);
	if (f && fault_code(f) != FAULT_CORRUPT && fault_code(f) != FAULT_INVALID)
		return f;
	struct entry_key *entry = entry_key_from_bytes(r->row.entry, r->row.entry_len);
	if (entry && !text_is_utf8(entry_key_text(entry), strlen(entry_key_text(entry)))) {
		entry_key_unref(entry); /* of a damaged record: it could not be shown */
		entry = NULL;
	}
	struct item *i = add(l);
	i->listed = (struct store_listed){.entry = entry,
		.id = store_record_id_text(r),
		.kind = kind_of(&r->row),
		.origin = {mem_strdup(r->row.authority), mem_strdup(r->row.profile), r->row.received_at_ms},
		.put_at_ms = r->put_at_ms,
		.damage = f ? mem_strdup(fault_text(f)) : NULL};
	if (v)
		description_copy(version_description(v), &i->description);
	fault_free(f);
	return NULL;
}

static struct fault *list_some(struct listing *l, struct store_db *db, bool *ret_last)
{
	AUTO(finalizep) sqlite3_stmt *st = NULL;
	TRY(store_sql_prepare(db->sql,
		"SELECT " STORE_RECORD_COLUMNS ", seq FROM version WHERE seq > ?1 ORDER BY seq LIMIT ?2", &st));
	TRY(store_sql_bind_int(st, 1, l->after));
	TRY(store_sql_bind_int(st, 2, RECORDS_PER_STEP));
	for (int n = 0;; n++) {
		bool row;
		struct store_record r;
		TRY(store_sql_step(st, &row));
		if (!row) {
			*ret_last = n < RECORDS_PER_STEP;
			return NULL;
		}
		store_record_read(st, &r);
		l->after = sqlite3_column_int64(st, STORE_RECORD_COLUMN_COUNT);
		TRY(list_record(l, db, &r));
	}
}

static bool step(struct store_task *t, struct store_db *db, bool stopping)
{
	struct listing *l = container_of(t, struct listing, task);
	bool is_last = false;
	t->fault = stopping ? store_task_stopped() : list_some(l, db, &is_last);
	return t->fault || is_last;
}

/* By entry, then as they were put. */
static int compare(const void *a, const void *b)
{
	const struct item *x = *(const struct item *const *)a, *y = *(const struct item *const *)b;
	const char *left = x->listed.entry ? entry_key_text(x->listed.entry) : "";
	const char *right = y->listed.entry ? entry_key_text(y->listed.entry) : "";
	int order = strcmp(left, right);
	return order ? order : x < y ? -1 : x > y;
}

static void tell(struct listing *l)
{
	const struct item **sorted = mem_array(const struct item *, l->count + 1);
	struct store_listed *list = mem_array(struct store_listed, l->count + 1);
	for (size_t i = 0; i < l->count; i++)
		sorted[i] = &l->items[i];
	qsort(sorted, l->count, sizeof *sorted, compare);
	for (size_t i = 0; i < l->count; i++) {
		list[i] = sorted[i]->listed;
		list[i].description = sorted[i]->description.count ? &sorted[i]->description : NULL;
	}
	l->done(l->arg, NULL, &(const struct store_inventory){list, l->count});
	free(list);
	free(sorted);
}

static void item_done(struct item *i)
{
	entry_key_unref(i->listed.entry);
	free((char *)(uintptr_t)i->listed.id);
	free((char *)(uintptr_t)i->listed.origin.authority);
	free((char *)(uintptr_t)i->listed.origin.profile);
	free((char *)(uintptr_t)i->listed.damage);
	description_free(&i->description);
}

static void ended(struct store_task *t)
{
	struct listing *l = container_of(t, struct listing, task);
	if (t->fault)
		l->done(l->arg, t->fault, NULL);
	else
		tell(l);
	for (size_t i = 0; i < l->count; i++)
		item_done(&l->items[i]);
	free(l->items);
	free(l);
}

void store_list(
	struct store *s, void (*done)(void *arg, struct fault *f, const struct store_inventory *list), void *arg)
{
	struct listing *l = mem_new(struct listing);
	l->task.step = step;
	l->task.ended = ended;
	l->done = done;
	l->arg = arg;
	store_run(s, &l->task);
}
