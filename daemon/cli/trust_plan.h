/* daemon/cli/trust_plan.h - what a change of trust would do, printed before it is done. */
#ifndef DAEMON_CLI_TRUST_PLAN_H
#define DAEMON_CLI_TRUST_PLAN_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/attr.h"
struct cli_input;
struct fault;

/** A new root: its steps, how much of it there is, how long it takes, who holds the anchors of now. NOT_FOUND. */
MUST_USE struct fault *trust_plan_print(
	const struct cli_input *in, const char *authority, bool compromised, int64_t over_ms);
/** Old anchors out: which, and what breaks. */
MUST_USE struct fault *trust_plan_print_removal(const struct cli_input *in, const char *authority);
/** This anchor (its SHA-256 or the beginning of it) out and banned: what breaks. NOT_FOUND. */
MUST_USE struct fault *trust_plan_print_ban(const struct cli_input *in, const char *authority, const char *sha256);
/** One secret with a new key: to how many, and how long it takes. */
MUST_USE struct fault *trust_plan_print_streams(const struct cli_input *in, const char *name);
/** Of an answer of /v1/trust: who holds each anchor, and since when. */
void trust_plan_print_nodes(const json_t *o, const char *authority);
/** "yes" was typed at a terminal, or need not be. */
bool trust_plan_confirmed(bool yes);
#endif
