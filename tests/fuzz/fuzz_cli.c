/* tests/fuzz/fuzz_cli.c - what a server, which need not be ours, answers to the subcommands: the first byte says which
 * of them runs, the lines behind are its answers, one after another; and an exported audit trail in a file. What is
 * printed is text without control characters or others that deceive, whatever came: it goes to an operator's
 * terminal. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/cli/internal.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* New ones at the end: seeds name them by their place. */
static const struct {
	const struct cli_command *command;
	const char *names[3];
	int option; /* that is given; -1: none */
} runs[] = {
	{&cli_status, {NULL}, -1},
	{&cli_status, {"web"}, -1},
	{&cli_trust, {"status"}, -1},
	{&cli_trust, {"status", "mesh"}, -1},
	{&cli_trust, {"rotate", "mesh"}, 4},
	{&cli_trust, {"remove", "mesh"}, 4},
	{&cli_trust, {"remove", "mesh"}, -1},
	{&cli_trust, {"proceed", "mesh", "edge"}, -1},
	{&cli_compromise, {"web"}, 1},
	{&cli_inventory, {NULL}, -1},
	{&cli_inventory, {NULL}, 1},
	{&cli_versions, {"web"}, -1},
	{&cli_authority, {"list"}, -1},
	{&cli_authority, {"test", "mesh"}, -1},
	{&cli_audit, {"show"}, -1},
	{&cli_audit, {"verify"}, -1},
	{&cli_audit, {"verify", "file"}, -1}, /* the lines are in it */
	{&cli_audit, {"export"}, -1},
	{&cli_revoke, {"web"}, -1},
	{&cli_log_level, {"debug"}, -1},
	{&cli_delete, {"web"}, -1},
	{&cli_retry, {"web", "edge"}, -1},
	{&cli_seal, {"rotate"}, -1},
	{&cli_envoy, {"web", "roots"}, -1},
	{&cli_trust, {"remove", "mesh", "abababababababab"}, 4},
	{&cli_trust, {"restore", "mesh", "abababababababab"}, -1},
	{&cli_compromise, {NULL}, 0},
};

/* --- the server --- */

static struct input answers;

static struct fault *next_answer(json_t **ret)
{
	const uint8_t *end = answers.left ? memchr(answers.at, '\n', answers.left) : NULL;
	size_t len = end ? (size_t)(end - answers.at) : answers.left;
	json_t *o = json_loadb((const char *)answers.at, len, 0, NULL);
	answers.at += len + (end ? 1 : 0);
	answers.left -= len + (end ? 1 : 0);
	if (json_is_object(o)) {
		*ret = o;
		return NULL;
	}
	json_decref(o);
	return fault_new(FAULT_UNAVAILABLE, "the server has nothing more to say");
}

struct fault *client_call(const struct cli_input *in, const char *path, const json_t *body, bool secrets, json_t **ret)
{
	(void)in, (void)body, (void)secrets;
	invariant(strncmp(path, "/v1/", 4) == 0);
	return next_answer(ret);
}

/* --- the terminal --- */

/* Nothing in it needs to be escaped but the ends of lines, and what escapes and JSON begin with. */
static void check_printed(char *text, size_t len)
{
	invariant(text_is_utf8(text, len));
	for (size_t i = 0; i < len; i++)
		if (strchr("\n\r\\", text[i])) /* which finds NUL too: strlen() below */
			text[i] = text[i] ? ' ' : 0;
	AUTO(mem_freep) char *escaped = text_escaped(text);
	invariant(strlen(text) == len && strcmp(escaped, text) == 0);
}

static char *file_of(const struct input *in, int *ret_fd)
{
	*ret_fd = memfd_create("trail", MFD_CLOEXEC);
	invariant(*ret_fd >= 0 && write(*ret_fd, in->at, in->left) == (ssize_t)in->left);
	return mem_printf("/proc/self/fd/%d", *ret_fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = {data, len};
	unsigned which = input_byte(&in) % ARRAY_LEN(runs);
	const char *names[ARRAY_LEN(runs[0].names)];
	struct cli_input given = {.names = names};
	AUTO(mem_freep) char *path = NULL;
	char *printed = NULL;
	size_t printed_len;
	int fd = -1;
	memcpy(names, runs[which].names, sizeof names);
	while (given.name_count < ARRAY_LEN(names) && names[given.name_count])
		given.name_count++;
	if (runs[which].option >= 0)
		given.options[runs[which].option] = "";
	if (given.name_count == 2 && strcmp(names[1], "file") == 0)
		names[1] = path = file_of(&in, &fd);
	answers = in;
	FILE *terminal = stdout;
	stdout = open_memstream(&printed, &printed_len);
	invariant(stdout);
	struct fault *f = runs[which].command->run(&given);
	invariant(fclose(stdout) == 0);
	stdout = terminal;
	check_printed(printed, printed_len);
	free(printed);
	fault_free(f); /* cli_main() escapes it */
	if (fd >= 0)
		(void)close(fd);
	return 0;
}
