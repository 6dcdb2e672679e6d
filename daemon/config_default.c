/* daemon/config_default.c - the config without a file: a text like any other, so that it says no more and no less than
 * an operator could. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/io/paths.h"
#include "base/mem.h"
#include "control/definitions.h"
#include "daemon/config.h"

static const char pattern[] = "listen:\n"
			      "  - unix: {path: %s}\n"
			      "authorities:\n"
			      "  builtin: {type: builtin}\n"
			      "profiles:\n"
			      "  default: {authority: builtin, uri: [\"spiffe://leafcast.local/uid/{uid}\"]}\n"
			      "secrets:\n"
			      "  default: {profile: default}\n"
			      "  ROOTCA: {bundle: [builtin]}\n"
			      "policy:\n"
			      "  - {who: {uid: %ju}, may: [\"**\"]}\n";

/* In double quotes, as YAML wants it. */
static char *quoted(const char *text)
{
	struct buf b = BUF_INIT;
	buf_add_text(&b, "\"");
	for (const char *c = text; *c; c++) {
		if (*c == '"' || *c == '\\')
			buf_add_text(&b, "\\");
		buf_add(&b, c, 1);
	}
	buf_add_text(&b, "\"");
	return buf_take_text(&b);
}

struct fault *config_default(struct config **ret)
{
	AUTO(mem_freep) char *socket = NULL;
	AUTO(mem_freep) char *state = NULL;
	TRY(paths_state(&state)); /* faults of their own are clearer than errors in a text that nobody wrote */
	TRY(paths_runtime_file("sds.sock", &socket));
	AUTO(mem_freep) char *socket_quoted = quoted(socket);
	AUTO(mem_freep) char *text = mem_printf(pattern, socket_quoted, (uintmax_t)geteuid());
	struct config *c = NULL;
	TRY(config_load_text("the built-in config", text, strlen(text), &c, NULL));
	free(TAKE(c->source_path));
	for (size_t i = 0; i < c->listen_count; i++)
		c->listen[i].line = c->listen[i].column = 0;
	for (size_t i = 0; i < c->definitions->rule_count; i++)
		c->definitions->rules[i].line = 0;
	*ret = c;
	return NULL;
}
