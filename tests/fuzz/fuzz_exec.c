/* tests/fuzz/fuzz_exec.c - what a command that stands for an authority answers in JSON to issue (first byte 0), trust
 * (1) and revoke (2), or with an exit code (3), and what it says on stderr (4). What is taken is bounded, a refusal is
 * told in one line of text, and a value that must not be shown is not. */
#include <string.h>
#include "base/anchors.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/gate.h"
#include "base/text.h"
#include "base/redact.h"
#include "ca-client/exec_words.h"
#include "tests/fuzz/input.h"

enum { TEXT_MAX = 4096, REQUEST_ID_MAX = 256, ESCAPES = 10 };
static const char hidden[] = "s3cr3t-value";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_text(const char *text)
{
	invariant(text_is_utf8(text, strlen(text)) && strlen(text) <= TEXT_MAX);
	for (const char *c = text; *c; c++)
		invariant((unsigned char)*c >= 0x20 && *c != 0x7f);
}

/* A fault of a class that an answer may have, or there is something. */
static bool is_taken(struct fault *f)
{
	if (!f)
		return true;
	invariant(fault_code(f) != FAULT_INTERNAL && fault_code(f) != FAULT_NOT_FOUND);
	invariant(fault_retry_after_ms(f) <= INT64_C(24) * 3600 * 1000);
	check_text(fault_text(f));
	fault_free(f);
	return false;
}

static const struct redact_hidden nothing = {NULL, 0};

static void try_issue(struct input *in)
{
	struct ca_answer *a = NULL;
	if (!is_taken(exec_read_issue(in->at, in->left, &nothing, &a))) {
		invariant(!a);
		return;
	}
	int count = sk_X509_num(a->chain);
	invariant(count >= 1 && count <= CREDENTIAL_CHAIN_MAX);
	if (a->request_id) {
		check_text(a->request_id);
		invariant(strlen(a->request_id) <= REQUEST_ID_MAX * ESCAPES);
	}
	invariant(a->renew.from_ms < a->renew.to_ms || (!a->renew.from_ms && !a->renew.to_ms));
	ca_answer_free(a);
}

static void try_trust(struct input *in)
{
	struct anchors *a = NULL;
	bool taken = is_taken(exec_read_trust(in->at, in->left, &nothing, &a));
	invariant(taken == (a != NULL));
	if (a) {
		struct fault *f = gate_check_anchors(a);
		invariant(!f);
	}
	anchors_unref(a);
}

static void try_revoke(struct input *in)
{
	(void)is_taken(exec_read_revoke(in->at, in->left, &nothing));
}

static void try_error(struct input *in)
{
	(void)is_taken(exec_read_error(in->at, in->left, &nothing));
}

static void try_redact(struct input *in)
{
	static const char *const values[] = {NULL, hidden};
	struct buf shown = BUF_INIT;
	redact_add(in->at, in->left, &(struct redact_hidden){values, ARRAY_LEN(values)}, &shown);
	check_text(buf_text(&shown));
	invariant(shown.len <= REDACT_MAX + 3 * REDACT_LINES && !strstr(buf_text(&shown), hidden));
	buf_free(&shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const tries[])(struct input * in) = {try_issue, try_trust, try_revoke, try_error, try_redact};
	struct input in = {data, len};
	tries[input_byte(&in) % ARRAY_LEN(tries)](&in);
	return 0;
}
