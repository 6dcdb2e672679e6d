/* daemon/cli/cmd_audit.c - leafcast audit show|verify|export: the trail for people, checked, and as JSON lines. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/audit_chain.h"
#include "base/clock.h"
#include "base/io/json_memory.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/cli/internal.h"

enum { OPTION_LAST, OPTION_COPY };
enum { PAGE = 1000, SHOWN = 50, SHOWN_MAX = 100000, LINE_MAX_BYTES = 1024 * 1024 };

static struct fault *unreadable(const char *what)
{
	return fault_new(FAULT_CORRUPT, "%s is not as leafcast writes it", what);
}

static struct fault *read_head(const json_t *o, struct audit_head *ret)
{
	json_int_t base, last, broken;
	const char *base_hash, *hash;
	if (json_unpack((json_t *)(uintptr_t)o, "{s:I, s:s, s:I, s:s, s:I}", "base_seq", &base, "base_hash", &base_hash,
		    "seq", &last, "hash", &hash, "broken_at", &broken) != 0)
		return unreadable("the trail's head");
	*ret = (struct audit_head){.base_seq = base, .seq = last, .broken_at = broken};
	return audit_hash_parse(base_hash, &ret->base_hash) && audit_hash_parse(hash, &ret->hash)
		       ? NULL
		       : unreadable("the trail's head");
}

/* Borrows from o; *ret_detail is the caller's (json_memory_free_text()). */
static struct fault *read_record(const json_t *o, struct audit_record *ret, char **ret_detail)
{
	json_int_t number, at;
	const char *event, *hash;
	json_t *detail = NULL;
	if (json_unpack((json_t *)(uintptr_t)o, "{s:I, s:I, s:s, s:o, s:s}", "seq", &number, "at_ms", &at, "event",
		    &event, "detail", &detail, "hash", &hash) != 0)
		return unreadable("a record");
	*ret_detail = json_is_null(detail) ? NULL : json_dumps(detail, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	*ret = (struct audit_record){number, at, event, *ret_detail, {{0}}};
	return audit_hash_parse(hash, &ret->hash) ? NULL : unreadable("a record's hash");
}

static struct fault *check_record(struct audit_check *c, const json_t *o)
{
	struct audit_record r;
	char *detail = NULL;
	struct fault *f = read_record(o, &r, &detail);
	if (!f)
		f = audit_check_record(c, &r);
	json_memory_free_text(detail);
	return f;
}

static struct fault *fetch(const struct cli_input *in, int64_t after, size_t limit, json_t **ret)
{
	json_t *body = json_pack("{s:I, s:I}", "after", (json_int_t)after, "limit", (json_int_t)limit);
	struct fault *f = client_call(in, "/v1/audit", body, false, ret);
	json_decref(body);
	return f;
}

/* Every record up to the head of the first page, in order: what is written meanwhile is not part of it. */
static struct fault *each_record(const struct cli_input *in, struct audit_head *ret_head,
	struct fault *(*fn)(void *arg, const struct audit_head *head, const json_t *record), void *arg)
{
	int64_t seq = 0;
	bool more = true;
	struct fault *f = NULL;
	for (bool first = true; more && !f; first = false) {
		json_t *page = NULL, *record;
		size_t i;
		TRY(fetch(in, seq, PAGE, &page));
		const json_t *list = json_object_get(page, "records");
		if (first)
			f = read_head(json_object_get(page, "head"), ret_head);
		more = json_array_size(list) > 0;
		json_array_foreach(list, i, record)
		{
			int64_t next = json_integer_value(json_object_get(record, "seq"));
			if (!f && next <= seq)
				f = unreadable("the order of the records");
			more = more && next < ret_head->seq;
			if (!f && next <= ret_head->seq)
				f = fn(arg, ret_head, record);
			seq = next;
		}
		json_decref(page);
	}
	return f;
}

/* --- show --- */

static void add_row(struct table *t, const json_t *o)
{
	char when[32] = "-";
	int64_t at = json_integer_value(json_object_get(o, "at_ms"));
	time_t s = (time_t)(at / MS_PER_S);
	struct tm tm;
	if (gmtime_r(&s, &tm))
		(void)strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
	const json_t *d = json_object_get(o, "detail");
	AUTO(mem_freep)
	char *number = mem_printf("%lld", number_of(o, "seq"));
	AUTO(mem_freep)
	char *version = mem_strndup(text_or_dash(d, "version"), strnlen(text_or_dash(d, "version"), 12));
	const char *cells[] = {number, when, text_or_dash(o, "event"), text_or_dash(d, "entry"), version,
		text_or_dash(d, "by"), text_or_dash(d, "detail")};
	table_add(t, cells);
}

static struct fault *show(const struct cli_input *in)
{
	static const char *const heads[] = {"RECORD", "TIME", "EVENT", "SECRET", "VERSION", "BY", "DETAIL"};
	const char *given = in->options[OPTION_LAST];
	char *end = NULL;
	long last = given ? strtol(given, &end, 10) : SHOWN;
	struct audit_head head;
	json_t *page = NULL, *record;
	size_t i;
	if (given && (*end || end == given || last < 1 || last > SHOWN_MAX))
		return fault_new(FAULT_INVALID, "--last takes a number of records from 1 to %d", SHOWN_MAX);
	TRY(fetch(in, 0, 0, &page));
	struct fault *f = read_head(json_object_get(page, "head"), &head);
	json_decref(page);
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	for (int64_t seq = head.seq > last ? head.seq - last : 0; !f && seq < head.seq;) {
		f = fetch(in, seq, PAGE, &page);
		if (f)
			break;
		const json_t *list = json_object_get(page, "records");
		int64_t before = seq;
		json_array_foreach(list, i, record)
		{
			add_row(t, record);
			seq = json_integer_value(json_object_get(record, "seq"));
		}
		json_decref(page);
		if (seq <= before)
			break; /* nothing is kept there */
	}
	if (!f)
		table_print(t);
	table_free(t);
	return f;
}

/* --- verify --- */

struct verification {
	struct audit_check check;
	bool begun;
	int64_t records;
};

static struct fault *verify_record(void *arg, const struct audit_head *head, const json_t *record)
{
	struct verification *v = arg;
	if (!v->begun)
		audit_check_begin(&v->check, head);
	v->begun = true;
	v->records++;
	return check_record(&v->check, record);
}

static struct fault *finish_verification(struct verification *v, const struct audit_head *head)
{
	char hex[AUDIT_HASH_HEX];
	if (!v->begun)
		audit_check_begin(&v->check, head);
	TRY(audit_check_end(&v->check));
	audit_hash_hex(&head->hash, hex);
	(void)printf("the trail is whole: %" PRId64 " records, the newest is %" PRId64 ", head %s\n", v->records,
		head->seq, hex);
	if (head->base_seq)
		(void)printf(
			"records up to %" PRId64 " have left it, or are from before it was chained\n", head->base_seq);
	return NULL;
}

static struct fault *next_line(FILE *file, char **line, size_t *cap, json_t **ret)
{
	ssize_t n = getline(line, cap, file);
	*ret = NULL;
	if (n < 0)
		return ferror(file) ? fault_errno(errno, "cannot read the file") : NULL;
	if (n > LINE_MAX_BYTES)
		return unreadable("a line");
	*ret = json_loadb(*line, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
	return *ret ? NULL : unreadable("a line");
}

/* The head comes last in a file, and the check begins with it: two passes. */
static struct fault *verify_lines(FILE *file)
{
	struct verification v = {.begun = false};
	struct audit_head head;
	char *line = NULL;
	size_t cap = 0;
	json_t *o = NULL;
	bool found = false;
	struct fault *f;
	while (!(f = next_line(file, &line, &cap, &o)) && o) {
		const json_t *h = json_object_get(o, "head");
		if (found)
			f = unreadable("what follows the head");
		else if (h)
			f = read_head(h, &head);
		found = found || h;
		json_decref(o);
		if (f)
			break;
	}
	if (!f && !found)
		f = fault_new(FAULT_CORRUPT, "the file does not end with a head: it was cut off");
	rewind(file);
	while (!f && !(f = next_line(file, &line, &cap, &o)) && o) {
		if (!json_object_get(o, "head"))
			f = verify_record(&v, &head, o);
		json_decref(o);
	}
	free(line);
	return f ? f : finish_verification(&v, &head);
}

/* A copy has no head, and begins where the file before it ended: what its first record follows is taken as it says. */
static struct fault *verify_copied(struct audit_check *c, int64_t *records, const json_t *o)
{
	struct audit_record r;
	char *detail = NULL;
	struct fault *f = read_record(o, &r, &detail);
	if (!f && !*records)
		*c = (struct audit_check){.seq = r.seq - 1};
	if (!f && !*records && r.seq > 1)
		*c = (struct audit_check){{.base_seq = r.seq}, r.seq, r.hash};
	if (!f)
		f = audit_check_record(c, &r);
	json_memory_free_text(detail);
	++*records;
	return f;
}

static struct fault *verify_copy(FILE *file)
{
	struct audit_check c = {.seq = 0};
	int64_t records = 0;
	char *line = NULL, hex[AUDIT_HASH_HEX];
	size_t cap = 0;
	json_t *o = NULL;
	struct fault *f;
	while (!(f = next_line(file, &line, &cap, &o)) && o) {
		f = verify_copied(&c, &records, o);
		json_decref(o);
		if (f)
			break;
	}
	free(line);
	TRY(f);
	if (!records)
		return fault_new(FAULT_CORRUPT, "there is no record in it");
	audit_hash_hex(&c.hash, hex);
	(void)printf("the copy holds together: %" PRId64 " records, the newest is %" PRId64 ", its hash %s\n"
		     "that its end was not cut off is for audit.head in the log, or `leafcast audit export`, to say\n",
		records, c.seq, hex);
	return NULL;
}

static struct fault *verify(const struct cli_input *in)
{
	if (in->options[OPTION_COPY] && in->name_count < 2)
		return fault_new(FAULT_INVALID, "--copy takes the file that audit.file names");
	if (in->name_count > 1) {
		FILE *file = fopen(in->names[1], "re");
		if (!file)
			return fault_errno(errno, "%s", in->names[1]);
		struct fault *f = in->options[OPTION_COPY] ? verify_copy(file) : verify_lines(file);
		(void)fclose(file);
		return f;
	}
	struct verification v = {.begun = false};
	struct audit_head head;
	TRY(each_record(in, &head, verify_record, &v));
	return finish_verification(&v, &head);
}

/* --- export --- */

static struct fault *put_line(const json_t *o)
{
	return print_json(o, JSON_COMPACT | JSON_SORT_KEYS);
}

static struct fault *export_record(void *arg, const struct audit_head *head, const json_t *record)
{
	(void)arg;
	(void)head;
	return put_line(record);
}

static struct fault *export_all(const struct cli_input *in)
{
	struct audit_head h;
	char base[AUDIT_HASH_HEX], last[AUDIT_HASH_HEX];
	TRY(each_record(in, &h, export_record, NULL));
	audit_hash_hex(&h.base_hash, base);
	audit_hash_hex(&h.hash, last);
	json_t *o = json_pack("{s:{s:I, s:s, s:I, s:s, s:I}}", "head", "base_seq", (json_int_t)h.base_seq, "base_hash",
		base, "seq", (json_int_t)h.seq, "hash", last, "broken_at", (json_int_t)h.broken_at);
	struct fault *f = put_line(o);
	json_decref(o);
	return f;
}

static struct fault *run(const struct cli_input *in)
{
	const char *verb = in->names[0];
	if (strcmp(verb, "verify") == 0)
		return verify(in);
	if (in->name_count > 1)
		return fault_new(FAULT_INVALID, "audit %.20s takes no file", verb);
	if (strcmp(verb, "show") == 0)
		return show(in);
	if (strcmp(verb, "export") == 0)
		return export_all(in);
	return fault_new(FAULT_INVALID, "audit does not know \"%.40s\"; it takes show, verify or export", verb);
}

const struct cli_command cli_audit = {
	.name = "audit",
	.arguments = "show|verify [FILE]|export",
	.summary = "read and check the record of what was done, by whom",
	.text = "show      the newest records\n"
		"export    all of them as JSON lines, the chain's head last\n"
		"verify    that no record was changed, removed, moved or cut off: on the server, or in an exported "
		"file\n\n"
		"Each record's hash covers the one before. The head is sealed in the store and logged each hour "
		"(audit.head): compare\n"
		"it where you must not trust this machine. --copy checks the file that the config's audit.file names; "
		"several in order\n"
		"come as /dev/stdin.\n\n"
		"example: leafcast audit export > trail.jsonl && leafcast audit verify trail.jsonl",
	.options = {[OPTION_LAST] = {"last", "N", "show: how many records (default 50)"},
		[OPTION_COPY] = {"copy", NULL, "verify: FILE is a copy that the server writes, without a head"}},
	.names_min = 1,
	.names_max = 2,
	.run = run,
};
