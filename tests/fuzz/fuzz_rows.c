/* tests/fuzz/fuzz_rows.c - what the tables of a state hold, as a stranger could have written them: the file keeps no
 * type and no constraint. The input is rows, column by column; a column may ask for what we would have written there,
 * so that the checks behind the seal are reached. What is read is bounded text, or damaged; the trail is opened and
 * paged; and control takes versions, quarantines and facts for what they are worth. */
#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/text.h"
#include "cache/description.h"
#include "cache/entry.h"
#include "cache/seal.h"
#include "cache/store_audit.h"
#include "cache/store_blobs.h"
#include "cache/store_db.h"
#include "cache/store_keys.h"
#include "cache/store_schema.h"
#include "cache/store_sql.h"
#include "control/internal.h"
#include "control/quarantine.h"
#include "control/rotation_plan.h"
#include "daemon/config.h"
#include "daemon/config_errors.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const char config[] = "listen: [{unix: {path: /x/sds}}]\nadmin: {path: /x/admin}\nstate: {path: /x/state}\n"
			     "authorities: {mesh: {type: builtin}, other: {type: builtin}}\n"
			     "profiles: {p: {authority: mesh, dns: [web.example], lifetime: 1h}}\n"
			     "secrets: {web: {profile: p}}\n";
static const char id[] = "0123456789abcdef0123456789abcdef", held[] = "11111111111111111111111111111111";
static const char pem[] = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";

static struct store_db *db;
static struct definitions *definitions;
static struct entry_key *web;

static void must(struct fault *f)
{
	if (f)
		(void)fprintf(stderr, "%s\n", fault_text(f));
	invariant(!f);
}

/* --- a state whose tables take anything --- */

static const char LAX[] = "CREATE TABLE meta(key, value);"
			  "CREATE TABLE seal_key(id INTEGER PRIMARY KEY, wrapped, created_at_ms);"
			  "CREATE TABLE version(seq INTEGER PRIMARY KEY, entry, id, kind, authority, profile,"
			  " received_at_ms, put_at_ms, public, seal_key, sealed, description);"
			  "CREATE TABLE blob(name, seal_key, sealed);"
			  "CREATE TABLE fact(key, value);"
			  "CREATE TABLE audit(seq INTEGER PRIMARY KEY, at_ms, event, detail, hash);"
			  "CREATE TABLE quarantine(identity, who, node, entry, version, held, code, message, since_ms,"
			  " hastens, chance, neighbour);";

static void make_lax(const char *folder)
{
	AUTO(mem_freep) char *path = mem_printf("%s/leafcast.db", folder);
	AUTO(mem_freep)
	char *sql = mem_printf("%sPRAGMA application_id=%d; PRAGMA user_version=%zu", LAX, STORE_APPLICATION_ID,
		store_migrations()->count);
	sqlite3 *sqlite = NULL;
	invariant(sqlite3_open(path, &sqlite) == SQLITE_OK);
	must(store_sql_run(sqlite, sql));
	invariant(sqlite3_close(sqlite) == SQLITE_OK);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

/* The files go at once: what is open stays. */
static void open_state(void)
{
	char folder[] = "/dev/shm/leafcast-fuzz-XXXXXX", elsewhere[] = "/tmp/leafcast-fuzz-XXXXXX";
	const char *made = mkdtemp(folder);
	if (!made)
		made = mkdtemp(elsewhere);
	invariant(made);
	make_lax(made);
	must(store_db_open(&(struct store_options){.folder = made}, clock_system(), &db));
	invariant(nftw(made, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

static void read_config(void)
{
	AUTO(config_freep) struct config *c = NULL;
	AUTO(config_errors_freep) struct config_errors *e = NULL;
	must(config_load_text("x.yaml", config, sizeof config - 1, &c, &e));
	definitions = config_take_definitions(c);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	open_state();
	read_config();
	web = entry_key_new("web", NULL, 0);
	return 0;
}

/* --- rows --- */

/* What we write into a column; SEALED: of what stands in the same row. */
enum usual {
	NUMBER,
	IDENTITY,
	NODE,
	ENTRY,
	ID,
	HELD,
	KIND,
	AUTHORITY,
	PEM,
	KEY,
	SEALED,
	DESCRIPTION,
	FACT,
	EVENT,
	HASH
};
enum { COLUMNS_MAX = 12, LONG = 300, ROWS_MAX = 64 };

static const struct table {
	const char *insert;
	enum usual columns[COLUMNS_MAX];
	int count;
} tables[] = {
	{"INSERT INTO quarantine VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
		{IDENTITY, IDENTITY, NODE, ENTRY, ID, HELD, NUMBER, NODE, NUMBER, NUMBER, NUMBER, ENTRY}, 12},
	{"INSERT INTO fact VALUES(?1, ?2)", {FACT, NUMBER}, 2},
	{"INSERT INTO blob VALUES(?1, ?2, ?3)", {AUTHORITY, KEY, SEALED}, 3},
	{"INSERT INTO version VALUES(NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
		{ENTRY, ID, KIND, AUTHORITY, AUTHORITY, NUMBER, NUMBER, PEM, KEY, SEALED, DESCRIPTION}, 11},
	{"INSERT OR REPLACE INTO audit VALUES(?1, ?2, ?3, ?4, ?5)", {NUMBER, NUMBER, EVENT, EVENT, HASH}, 5},
};

static const char *const facts[] = {"pin/", "renew/from/", "renew/to/", "revoke/", "revoke-by/uid 0/", "rotate-at/",
	"rotate-over/", "trust-root/", "trust-over/", "trust-by/uid 0/", "trust-paused/uid 0/", "trust-keep/"};

static struct cert_info *certificate(void)
{
	struct cert_info *i = mem_new(struct cert_info);
	char **const texts[] = {
		&i->subject, &i->issuer, &i->serial, &i->sha256, &i->key_id, &i->issuer_key_id, &i->key};
	for (size_t k = 0; k < ARRAY_LEN(texts); k++)
		*texts[k] = mem_strdup("00");
	i->not_before_ms = clock_wall_ms(clock_system()) - MS_PER_HOUR;
	i->not_after_ms = i->not_before_ms + 2 * MS_PER_HOUR;
	return i;
}

static void put_text(sqlite3_stmt *st, int at, const char *text)
{
	invariant(sqlite3_bind_text(st, at, text, -1, SQLITE_TRANSIENT) == SQLITE_OK);
}

static void put_bytes(sqlite3_stmt *st, int at, const struct buf *b)
{
	invariant(sqlite3_bind_blob(st, at, b->len ? (const void *)b->data : "", (int)b->len, SQLITE_TRANSIENT) ==
		  SQLITE_OK);
}

static void put_entry(sqlite3_stmt *st, int at)
{
	size_t len;
	const void *bytes = entry_key_bytes(web, &len);
	invariant(sqlite3_bind_blob(st, at, bytes, (int)len, SQLITE_TRANSIENT) == SQLITE_OK);
}

static void put_description(sqlite3_stmt *st, int at)
{
	struct description d = {certificate(), 1};
	struct buf b = BUF_INIT;
	description_write(&d, &b);
	put_bytes(st, at, &b);
	buf_free(&b);
	description_free(&d);
}

/* A small number says which: texts that begin so are read further. */
static void put_fact(sqlite3_stmt *st, int at, struct input *in)
{
	unsigned n = input_byte(in);
	const char *prefix = facts[(n & 0x3f) % ARRAY_LEN(facts)];
	AUTO(mem_freep) char *rest = n & 0x80 ? input_text(in) : mem_printf(n & 0x40 ? "mesh" : "%s/web", id);
	AUTO(mem_freep) char *text = mem_printf("%s%s", prefix, rest);
	put_text(st, at, text);
}

static void put_usual(sqlite3_stmt *st, int at, enum usual what, struct input *in)
{
	const struct buf hash = {.data = (unsigned char *)(uintptr_t)id, .len = sizeof id - 1};
	switch (what) {
	case NUMBER:
		(void)sqlite3_bind_int64(st, at, input_byte(in));
		break;
	case KEY:
		(void)sqlite3_bind_int64(st, at, store_keys_newest_id(db->keys));
		break;
	case KIND:
		(void)sqlite3_bind_int64(st, at, SECRET_TLS_CERTIFICATE + input_byte(in) % 2);
		break;
	case IDENTITY:
		put_text(st, at, "uid 1000");
		break;
	case NODE:
		put_text(st, at, "edge-1");
		break;
	case ENTRY:
		put_entry(st, at);
		break;
	case ID:
		put_text(st, at, id);
		break;
	case HELD:
		put_text(st, at, held);
		break;
	case AUTHORITY:
		put_text(st, at, "mesh");
		break;
	case PEM:
		(void)sqlite3_bind_blob(st, at, pem, sizeof pem - 1, SQLITE_STATIC);
		break;
	case DESCRIPTION:
		put_description(st, at);
		break;
	case FACT:
		put_fact(st, at, in);
		break;
	case EVENT:
		put_text(st, at, "{\"by\":\"uid 0\"}");
		break;
	case HASH:
		put_bytes(st, at, &hash);
		break;
	case SEALED: /* once the row stands */
		(void)sqlite3_bind_null(st, at);
		break;
	}
}

static int64_t number_of(struct input *in)
{
	uint64_t value = 0;
	for (int i = 0; i < 8; i++)
		value = value << 8 | input_byte(in);
	return (int64_t)value;
}

/* True: it is to be what we would have written. */
static bool put_column(sqlite3_stmt *st, int at, enum usual what, struct input *in)
{
	unsigned kind = input_byte(in) % 8, len = input_byte(in) % 64;
	size_t piece = len < in->left ? len : in->left;
	static char many[(size_t)LONG * 256];
	switch (kind) {
	case 1:
		(void)sqlite3_bind_null(st, at);
		return false;
	case 2:
		(void)sqlite3_bind_int64(st, at, number_of(in));
		return false;
	case 3:
	case 4: /* as it is, with zeros */
		(void)(kind == 3 ? sqlite3_bind_text(st, at, (const char *)in->at, (int)piece, SQLITE_TRANSIENT)
				 : sqlite3_bind_blob(
					   st, at, piece ? (const char *)in->at : "", (int)piece, SQLITE_TRANSIENT));
		in->at += piece;
		in->left -= piece;
		return false;
	case 5:
		memset(many, 'x', sizeof many);
		(void)sqlite3_bind_text(st, at, many, (int)(LONG * input_byte(in)), SQLITE_STATIC);
		return false;
	case 6:
		(void)sqlite3_bind_double(st, at, (double)number_of(in) / 3);
		return false;
	default:
		put_usual(st, at, what, in);
		return true;
	}
}

static void seal_last(sqlite3_stmt *update, const struct buf *identity, const char *content)
{
	struct buf sealed = BUF_INIT;
	must(seal_encrypt(
		store_keys_newest(db->keys), identity->data, identity->len, content, strlen(content), &sealed));
	put_bytes(update, 1, &sealed);
	(void)sqlite3_bind_int64(update, 2, sqlite3_last_insert_rowid(db->sql));
	must(store_sql_finish(update));
	buf_free(&sealed);
}

/* The seal of the row that was put last, over what stands there now. */
static void seal_version(void)
{
	sqlite3_stmt *select = NULL, *update = NULL;
	struct store_record r;
	struct buf identity = BUF_INIT;
	bool row;
	must(store_sql_prepare(
		db->sql, "SELECT " STORE_RECORD_COLUMNS " FROM version WHERE seq = last_insert_rowid()", &select));
	must(store_sql_prepare(db->sql, "UPDATE version SET sealed = ?1 WHERE seq = ?2", &update));
	must(store_sql_step(select, &row));
	invariant(row);
	store_record_read(select, &r);
	if (r.row.id) {
		store_version_identity(&r.row, &identity);
		seal_last(update, &identity, "-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n");
	}
	buf_free(&identity);
	(void)sqlite3_finalize(select);
	(void)sqlite3_finalize(update);
}

static void seal_blob(void)
{
	sqlite3_stmt *select = NULL, *update = NULL;
	struct buf identity = BUF_INIT;
	bool row;
	must(store_sql_prepare(db->sql, "SELECT name FROM blob WHERE rowid = last_insert_rowid()", &select));
	must(store_sql_prepare(db->sql, "UPDATE blob SET sealed = ?1 WHERE rowid = ?2", &update));
	must(store_sql_step(select, &row));
	const char *name = (const char *)sqlite3_column_text(select, 0);
	if (name) {
		store_blob_identity(name, &identity);
		seal_last(update, &identity, "kept");
	}
	buf_free(&identity);
	(void)sqlite3_finalize(select);
	(void)sqlite3_finalize(update);
}

static void put_row(struct input *in)
{
	const struct table *t = &tables[input_byte(in) % ARRAY_LEN(tables)];
	bool seal = false;
	sqlite3_stmt *st = NULL;
	must(store_sql_prepare(db->sql, t->insert, &st));
	for (int i = 0; i < t->count; i++)
		seal |= put_column(st, i + 1, t->columns[i], in) && t->columns[i] == SEALED;
	fault_ignore(store_sql_finish(st), "a key of another type: the row is not there");
	bool is_there = sqlite3_changes(db->sql) == 1;
	(void)sqlite3_finalize(st);
	if (seal && is_there && t == &tables[2])
		seal_blob();
	else if (seal && is_there)
		seal_version();
}

/* --- what comes of them --- */

struct seen {
	struct control control;
	struct store_tx *drop;
};

static void check_text(const char *text, size_t max)
{
	invariant(text && strlen(text) <= max && text_is_utf8(text, strlen(text)));
}

static void check_version(struct version *v)
{
	size_t len;
	invariant(strlen(version_id(v)) == 32 && version_public_pem(v, &len));
	invariant(version_kind(v) == SECRET_TLS_CERTIFICATE || version_kind(v) == SECRET_VALIDATION_CONTEXT);
	invariant(version_description(v)->count > 0);
	(void)version_life_ms(v);
}

static void see_version(void *arg, struct version *v)
{
	struct seen *s = arg;
	check_version(v);
	struct entry *e = entry_make(&s->control, (struct entry_key *)(uintptr_t)version_entry(v));
	version_unref(e->current);
	e->current = version_ref(v);
	e->kind = version_kind(v);
	e->def = &definitions->secrets[0];
}

static void see_past(void *arg, const struct store_past *p)
{
	(void)arg;
	check_version(p->version);
	check_text(p->id, 32);
}

static void see_damaged(void *arg, struct fault *f)
{
	(void)arg;
	invariant(fault_code(f) == FAULT_CORRUPT || fault_code(f) == FAULT_INVALID);
	check_text(fault_text(f), 8192);
	fault_free(f);
}

static void see_fact(void *arg, const char *key, int64_t value)
{
	struct seen *s = arg;
	invariant(key);
	versions_load_pin(&s->control, key, s->drop);
	hint_load(&s->control, key, value, s->drop);
	revocation_load(&s->control, key, value, s->drop);
	campaign_load(&s->control, key, value);
	trust_order_load(&s->control, key, value);
	trust_pause_load(&s->control, key, value, s->drop);
}

static void see_quarantine(void *arg, const struct store_quarantine *q)
{
	struct seen *s = arg;
	check_text(q->identity, STORE_IDENTITY_MAX);
	check_text(q->who, STORE_IDENTITY_MAX);
	check_text(q->node, STORE_MESSAGE_MAX);
	check_text(q->message, STORE_MESSAGE_MAX);
	check_text(q->version, STORE_VERSION_ID_MAX);
	check_text(q->held, STORE_VERSION_ID_MAX);
	invariant(q->entry && q->hastens <= STORE_HASTENED && q->chance <= STORE_CHANCE_WASTED);
	quarantine_load(&s->control, q, s->drop);
}

static void see_campaign(void *arg, const struct control_campaign *k)
{
	(void)arg;
	invariant(k->until_ms >= k->ordered_ms);
}

/* As the planner would use them. */
static void plan(struct control *c)
{
	for (struct entry *e = c->entries; e; e = e->hh.next) {
		struct rotation_facts f = {.version_id = version_id(e->current),
			.not_before_ms = version_not_before_ms(e->current),
			.not_after_ms = version_not_after_ms(e->current),
			.received_at_ms = version_received_at_ms(e->current),
			.renew_from_percent = 50,
			.renew_to_percent = 70,
			.hint_from_ms = e->hint.from_ms,
			.hint_to_ms = e->hint.to_ms,
			.pinned = e->pinned,
			.keep_fresh = true};
		if (f.received_at_ms < 0 || f.received_at_ms > 2 * control_now_ms(c))
			continue; /* sealed, so it is ours */
		campaign_facts(e, &f.campaign_ms, &f.campaign_over_ms);
		(void)rotation_plan(&f, control_now_ms(c));
	}
}

static void take_in(void)
{
	struct seen s = {.control = {.o = {.clock = clock_system(), .past_versions = 4}, .definitions = definitions},
		.drop = store_tx_new()};
	const struct store_visitor v = {&s, see_version, see_past, see_damaged, see_fact, see_quarantine};
	must(store_db_load(db, &v));
	control_each_campaign(&s.control, see_campaign, NULL);
	plan(&s.control);
	revocations_free(&s.control);
	campaigns_free(&s.control);
	trust_orders_free(&s.control);
	trust_pauses_free(&s.control);
	quarantine_free(&s.control);
	while (s.control.entries)
		entry_free(s.control.entries);
	store_tx_free(s.drop);
}

static void read_blobs(void)
{
	struct store_blobs *blobs = store_blobs_new();
	AUTO(secret_freep) struct secret *kept = NULL;
	must(store_db_load_blobs(db, blobs));
	struct fault *f = store_blobs_get(blobs, "mesh", &kept);
	invariant(!f || fault_code(f) == FAULT_CORRUPT);
	fault_free(f);
	store_blobs_free(blobs);
}

static void read_trail(void)
{
	struct store_audit_page page;
	const struct audit_head before = db->audit;
	must(store_audit_open(db));
	must(store_audit_page(db, 0, ROWS_MAX, &page));
	for (size_t i = 0; i < page.count; i++)
		invariant(page.records[i].event);
	store_audit_page_done(&page);
	fault_ignore(store_audit_add(db, 1, "event", NULL), "its number may be taken");
	db->audit = before;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = {data, len};
	must(store_sql_run(db->sql, "BEGIN IMMEDIATE"));
	for (int i = 0; in.left && i < ROWS_MAX; i++)
		put_row(&in);
	take_in();
	read_blobs();
	read_trail();
	store_sql_rollback(db->sql);
	return 0;
}
