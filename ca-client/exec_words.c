#include "ca-client/exec_words.h"
#include <jansson.h>
#include <openssl/pem.h>
#include <string.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/json_memory.h"
#include "base/mem.h"
#include "base/pem.h"
#include "base/redact.h"
#include "base/text.h"

/* Longest wait that an answer may ask for. */
enum { RETRY_MAX_S = 24 * 3600, REQUEST_ID_MAX = 256, MESSAGE_MAX = 4096 };
/* The end of the year 9999: no certificate says more (RFC 5280, 4.1.2.5). */
#define TIME_MAX_S INT64_C(253402300799)

/* --- what it is told --- */

static json_t *begin(const char *operation, const char *authority, int64_t time_limit_ms)
{
	return json_pack("{s:i, s:s, s:s, s:I}", "version", EXEC_VERSION, "operation", operation, "authority",
		authority, "time_limit_s", (json_int_t)(time_limit_ms / MS_PER_S));
}

static void finish(json_t *told, struct buf *ret)
{
	char *text = json_dumps(told, JSON_COMPACT);
	invariant(text);
	buf_add_text(ret, text);
	buf_add_text(ret, "\n");
	json_memory_free_text(text);
	json_decref(told);
}

static json_t *csr_text(X509_REQ *csr)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *pem;
	invariant(b && PEM_write_bio_X509_REQ(b, csr) == 1);
	long len = BIO_get_mem_data(b, &pem);
	json_t *text = json_stringn(pem, (size_t)len);
	BIO_free(b);
	return text;
}

static json_t *cert_text(X509 *cert)
{
	struct buf pem = BUF_INIT;
	pem_add_cert(cert, &pem);
	json_t *text = json_stringn((const char *)pem.data, pem.len);
	buf_free(&pem);
	return text;
}

static json_t *san_lists(const struct san_set *sans)
{
	static const char *const names[] = {"dns", "uri", "ip", "email"}; /* by san_type */
	json_t *lists = json_object();
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)json_object_set_new(lists, names[i], json_array());
	for (size_t i = 0; i < sans->count; i++)
		(void)json_array_append_new(
			json_object_get(lists, names[sans->items[i].type]), json_string(sans->items[i].value));
	return lists;
}

void exec_write_issue(const char *authority, const struct ca_request *r, int64_t time_limit_ms, struct buf *ret)
{
	json_t *told = begin("issue", authority, time_limit_ms);
	(void)json_object_set_new(told, "csr", csr_text(r->csr));
	(void)json_object_set_new(told, "sans", san_lists(r->sans));
	(void)json_object_set_new(told, "key_type", json_string(key_type_name(r->key_type)));
	(void)json_object_set_new(told, "lifetime_s", json_integer(r->lifetime_ms / MS_PER_S));
	if (r->current)
		(void)json_object_set_new(told, "current", cert_text(credential_leaf(r->current)));
	finish(told, ret);
}

void exec_write_trust(const char *authority, int64_t time_limit_ms, struct buf *ret)
{
	finish(begin("trust", authority, time_limit_ms), ret);
}

/* As `openssl ca -crl_reason` and RFC 5280, 5.3.1 write them. */
static const char *reason_name(enum ca_reason reason)
{
	switch (reason) {
	case CA_REASON_KEY_COMPROMISE:
		return "keyCompromise";
	case CA_REASON_AFFILIATION_CHANGED:
		return "affiliationChanged";
	case CA_REASON_SUPERSEDED:
		return "superseded";
	case CA_REASON_CESSATION_OF_OPERATION:
		return "cessationOfOperation";
	case CA_REASON_UNSPECIFIED:
		break;
	}
	return "unspecified";
}

void exec_write_revoke(const char *authority, const struct ca_revocation *r, int64_t time_limit_ms, struct buf *ret)
{
	json_t *told = begin("revoke", authority, time_limit_ms);
	(void)json_object_set_new(told, "certificate", cert_text(credential_leaf(r->leaf)));
	(void)json_object_set_new(told, "serial", json_string(credential_info(r->leaf)->serial));
	(void)json_object_set_new(told, "reason", json_string(reason_name(r->reason)));
	(void)json_object_set_new(told, "reason_code", json_integer((json_int_t)r->reason));
	finish(told, ret);
}

/* --- what it answers --- */

static struct fault *senseless(const char *why)
{
	return fault_new(FAULT_CORRUPT, "the command's answer makes no sense: %s", why);
}

static struct fault *parse(const void *text, size_t len, json_t **ret)
{
	json_error_t e;
	json_t *answer = json_loadb(text, len, JSON_REJECT_DUPLICATES, &e);
	if (!answer) /* e.text may quote a part of it */
		return fault_new(FAULT_CORRUPT, "the command's answer is no JSON (line %d, column %d)%s", e.line,
			e.column, len ? "" : ": nothing was written");
	if (json_is_object(answer)) {
		*ret = answer;
		return NULL;
	}
	json_decref(answer);
	return senseless("it is no JSON object");
}

static void decrefp(json_t **j)
{
	json_decref(*j);
}

/* A key that is none is a slip of whoever wrote the command: it would be missed in silence. */
static struct fault *check_keys(json_t *o, const char *const *known, size_t count)
{
	const char *key;
	json_t *value;
	json_object_foreach(o, key, value)
	{
		size_t i = 0;
		while (i < count && strcmp(key, known[i]) != 0)
			i++;
		if (i < count)
			continue;
		AUTO(mem_freep) char *shown = text_escaped(key);
		return fault_new(
			FAULT_CORRUPT, "the command's answer has a key \"%.64s\" that means nothing here", shown);
	}
	return NULL;
}

static struct fault *fault_of_class(const char *class, const char *text, int64_t wait_ms)
{
	if (strcmp(class, "unavailable") == 0)
		return fault_set_retryable(fault_new(FAULT_UNAVAILABLE, "the command says: %s", text), wait_ms);
	if (strcmp(class, "throttled") == 0)
		return fault_set_retryable(fault_new(FAULT_EXHAUSTED, "the command says: %s", text), wait_ms);
	if (strcmp(class, "denied") == 0)
		return fault_new(FAULT_DENIED, "the command says: %s", text);
	if (strcmp(class, "invalid") == 0)
		return fault_new(FAULT_INVALID, "the command says: %s", text);
	return senseless("error.class is none of unavailable, throttled, denied, invalid");
}

static struct fault *read_error(json_t *error, const struct redact_hidden *hide)
{
	static const char *const known[] = {"class", "message", "retry_after_s"};
	const json_t *class = json_object_get(error, "class"), *message = json_object_get(error, "message"),
		     *wait = json_object_get(error, "retry_after_s");
	if (!json_is_object(error) || !json_is_string(class) || (message && !json_is_string(message)))
		return senseless("an error is {class, message, retry_after_s}");
	TRY(check_keys(error, known, ARRAY_LEN(known)));
	if (wait && (!json_is_integer(wait) || json_integer_value(wait) < 0 || json_integer_value(wait) > RETRY_MAX_S))
		return senseless("error.retry_after_s is no whole number from 0 to 86400");
	struct buf text = BUF_INIT;
	const char *said = message ? json_string_value(message) : "no message";
	redact_add(said, strnlen(said, MESSAGE_MAX), hide, &text);
	struct fault *f = fault_of_class(
		json_string_value(class), buf_text(&text), wait ? json_integer_value(wait) * MS_PER_S : -1);
	buf_free(&text);
	return f;
}

static struct fault *read_answer(const void *text, size_t len, const struct redact_hidden *hide,
	const char *const *known, size_t count, json_t **ret)
{
	static const char *const error_alone[] = {"error"};
	AUTO(decrefp) json_t *answer = NULL;
	TRY(parse(text, len, &answer));
	if (json_object_get(answer, "error")) {
		TRY(check_keys(answer, error_alone, 1));
		return read_error(json_object_get(answer, "error"), hide);
	}
	TRY(check_keys(answer, known, count));
	*ret = TAKE(answer);
	return NULL;
}

/* What a reader of PEM refuses, as a fault of the answer. */
static struct fault *corrupt(const char *key, struct fault *f)
{
	if (!f || fault_code(f) == FAULT_CORRUPT)
		return f;
	struct fault *of_answer =
		fault_new(FAULT_CORRUPT, "the command's answer makes no sense: %s: %s", key, fault_text(f));
	fault_free(f);
	return of_answer;
}

static struct fault *read_anchors(const json_t *pem, struct anchors **ret)
{
	if (!json_is_string(pem))
		return senseless("anchors is no text of PEM");
	return corrupt("anchors", anchors_from_pem(json_string_value(pem), json_string_length(pem), ret));
}

static struct fault *read_chain(const json_t *pem, STACK_OF(X509) * ret)
{
	if (!json_is_string(pem))
		return senseless("there is no chain, a text of PEM with the leaf first");
	return pem_read_certs(json_string_value(pem), json_string_length(pem), CREDENTIAL_CHAIN_MAX, ret);
}

static bool read_time(const json_t *o, const char *key, int64_t *ret_ms)
{
	const json_t *s = json_object_get(o, key);
	if (!json_is_integer(s) || json_integer_value(s) < 1 || json_integer_value(s) > TIME_MAX_S)
		return false;
	*ret_ms = json_integer_value(s) * MS_PER_S;
	return true;
}

static struct fault *read_hint(json_t *renew, struct ca_hint *ret)
{
	static const char *const known[] = {"from", "to"};
	struct ca_hint hint;
	if (!json_is_object(renew))
		return senseless("renew is no {from, to}");
	TRY(check_keys(renew, known, ARRAY_LEN(known)));
	if (!read_time(renew, "from", &hint.from_ms) || !read_time(renew, "to", &hint.to_ms) ||
		hint.from_ms >= hint.to_ms)
		return senseless("renew is {from, to}, in whole seconds since 1970, from before to");
	*ret = hint;
	return NULL;
}

static void answer_freep(struct ca_answer **a)
{
	ca_answer_free(*a);
}

struct fault *exec_read_issue(const void *text, size_t len, const struct redact_hidden *hide, struct ca_answer **ret)
{
	static const char *const known[] = {"chain", "anchors", "request_id", "renew"};
	AUTO(decrefp) json_t *answer = NULL;
	AUTO(answer_freep) struct ca_answer *a = mem_new(struct ca_answer);
	TRY(read_answer(text, len, hide, known, ARRAY_LEN(known), &answer));
	const json_t *anchors = json_object_get(answer, "anchors"), *id = json_object_get(answer, "request_id");
	a->chain = sk_X509_new_null();
	invariant(a->chain);
	TRY(corrupt("chain", read_chain(json_object_get(answer, "chain"), a->chain)));
	if (anchors)
		TRY(read_anchors(anchors, &a->anchors));
	if (id && (!json_is_string(id) || json_string_length(id) > REQUEST_ID_MAX))
		return senseless("request_id is no text of at most 256 bytes");
	if (json_object_get(answer, "renew"))
		TRY(read_hint(json_object_get(answer, "renew"), &a->renew));
	a->request_id = id ? text_escaped(json_string_value(id)) : NULL;
	*ret = TAKE(a);
	return NULL;
}

struct fault *exec_read_trust(const void *text, size_t len, const struct redact_hidden *hide, struct anchors **ret)
{
	static const char *const known[] = {"anchors"};
	AUTO(decrefp) json_t *answer = NULL;
	TRY(read_answer(text, len, hide, known, ARRAY_LEN(known), &answer));
	return read_anchors(json_object_get(answer, "anchors"), ret);
}

struct fault *exec_read_revoke(const void *text, size_t len, const struct redact_hidden *hide)
{
	AUTO(decrefp) json_t *answer = NULL;
	return read_answer(text, len, hide, NULL, 0, &answer);
}

struct fault *exec_read_error(const void *text, size_t len, const struct redact_hidden *hide)
{
	AUTO(decrefp) json_t *answer = NULL;
	struct fault *f = parse(text, len, &answer);
	if (!f && json_object_get(answer, "error"))
		return read_error(json_object_get(answer, "error"), hide);
	fault_ignore(f, "the exit code says it then");
	return NULL;
}
