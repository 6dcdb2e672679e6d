#include "daemon/cli/cli.h"
#include <getopt.h>
#include <string.h>
#include "base/io/json_memory.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/cli/internal.h"

/* In the order in which they are listed. */
static const struct cli_command *const commands[] = {
	&cli_status,
	&cli_rotate,
	&cli_inventory,
	&cli_versions,
	&cli_rollback,
	&cli_revoke,
	&cli_pin,
	&cli_unpin,
	&cli_retry,
	&cli_authority,
	&cli_put,
	&cli_get,
	&cli_delete,
	&cli_envoy,
	&cli_trust,
	&cli_compromise,
	&cli_audit,
	&cli_log_level,
	&cli_reload,
	&cli_backup,
	&cli_seal,
};

static const struct cli_command *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

bool cli_knows(const char *command)
{
	return find(command) != NULL;
}

void cli_list(FILE *out)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		(void)fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
}

static void usage(const struct cli_command *c, FILE *out)
{
	(void)fprintf(out, "usage: leafcast %s%s%s [options]\n\n%s\n\noptions:\n", c->name, *c->arguments ? " " : "",
		c->arguments, c->text);
	for (size_t i = 0; i < CLI_OPTIONS_MAX && c->options[i].name; i++) {
		AUTO(mem_freep)
		char *left = mem_printf("--%s%s%s", c->options[i].name, c->options[i].value ? " " : "",
			c->options[i].value ? c->options[i].value : "");
		(void)fprintf(out, "  %-24s %s\n", left, c->options[i].help);
	}
	(void)fprintf(out, "  %-24s %s\n", "--admin PATH",
		"the server's admin socket (default: $LEAFCAST_ADMIN, then the runtime folder)");
	(void)fprintf(out, "  %-24s %s\n", "--help", "this text");
}

enum { OPTION_ADMIN = 1000, OPTION_HELP };

/* 0: go on; otherwise *ret_exit says how to end. GNU getopt lets options stand anywhere, and "--" end them. */
static bool parse(const struct cli_command *c, int argc, char **argv, struct cli_input *in, int *ret_exit)
{
	struct option longs[CLI_OPTIONS_MAX + 3];
	size_t n = 0;
	memset(longs, 0, sizeof longs);
	for (; n < CLI_OPTIONS_MAX && c->options[n].name; n++)
		longs[n] = (struct option){
			c->options[n].name, c->options[n].value ? required_argument : no_argument, NULL, (int)n};
	longs[n++] = (struct option){"admin", required_argument, NULL, OPTION_ADMIN};
	longs[n] = (struct option){"help", no_argument, NULL, OPTION_HELP};
	optind = 1;
	for (int o; (o = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
		if (o == 'h' || o == OPTION_HELP) {
			usage(c, stdout);
			*ret_exit = CLI_OK;
			return false;
		}
		if (o == '?') {
			(void)fprintf(stderr, "try: leafcast %s --help\n", c->name);
			*ret_exit = CLI_USAGE;
			return false;
		}
		if (o == OPTION_ADMIN)
			in->admin = optarg;
		else
			in->options[o] = optarg ? optarg : "";
	}
	in->names = (const char *const *)argv + optind;
	in->name_count = (size_t)(argc - optind);
	if (in->name_count >= c->names_min && in->name_count <= c->names_max)
		return true;
	(void)fprintf(stderr, "leafcast %s: %s\n", c->name,
		in->name_count < c->names_min ? "an argument is missing" : "too many arguments");
	usage(c, stderr);
	*ret_exit = CLI_USAGE;
	return false;
}

static bool names_are_valid(const struct cli_command *c, const struct cli_input *in)
{
	for (size_t i = 0; i < in->name_count && !c->takes_paths; i++) {
		if (text_is_name(in->names[i], strlen(in->names[i])))
			continue;
		AUTO(mem_freep) char *safe = text_escaped(in->names[i]);
		(void)fprintf(stderr, "leafcast %s: \"%.100s\" is no name: 1 to %zu bytes of UTF-8\n", c->name, safe,
			TEXT_NAME_MAX);
		return false;
	}
	return true;
}

int cli_main(int argc, char **argv)
{
	const struct cli_command *c = find(argv[0]);
	struct cli_input in;
	int code = CLI_OK;
	invariant(c);
	memset(&in, 0, sizeof in);
	json_memory_wipe();
	if (!parse(c, argc, argv, &in, &code))
		return code;
	if (!names_are_valid(c, &in))
		return CLI_USAGE;
	AUTO(fault_freep) struct fault *f = c->run(&in);
	if (!f)
		return CLI_OK;
	AUTO(mem_freep) char *safe = text_escaped(fault_text(f));
	(void)fprintf(stderr, "leafcast %s: %s\n", c->name, safe);
	return CLI_REFUSED;
}
