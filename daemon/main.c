/* daemon/main.c - which subcommand. */
#include <stdio.h>
#include <string.h>
#include "daemon/check.h"
#include "daemon/cli/cli.h"
#include "daemon/init.h"
#include "daemon/process.h"
#include "daemon/restore.h"
#include "daemon/serve.h"

static void help(FILE *out)
{
	(void)fputs("leafcast gives Envoy its certificates and trust bundles, and rotates them in place.\n\n"
		    "usage: leafcast COMMAND [options]     leafcast COMMAND --help\n\n"
		    "  serve      run the server; without a config: embedded CA, embedded store, a unix socket\n"
		    "  check      read a config file and say what is wrong with it\n"
		    "  init       write a config to start from, and try its authority\n"
		    "  restore    put a backup back as the state, while no server runs\n",
		out);
	cli_list(out);
	(void)fputs("\nleafcast --version\n", out);
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";
	process_harden();
	if (strcmp(command, "serve") == 0)
		return serve_main(argc - 1, argv + 1);
	if (strcmp(command, "check") == 0)
		return check_main(argc - 1, argv + 1);
	if (strcmp(command, "init") == 0)
		return init_main(argc - 1, argv + 1);
	if (strcmp(command, "restore") == 0)
		return restore_main(argc - 1, argv + 1);
	if (cli_knows(command))
		return cli_main(argc - 1, argv + 1);
	if (strcmp(command, "--version") == 0 || strcmp(command, "version") == 0) {
		(void)printf("leafcast %s\n", LEAFCAST_VERSION);
		return 0;
	}
	if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0 || strcmp(command, "help") == 0) {
		help(stdout);
		return 0;
	}
	if (*command)
		(void)fprintf(stderr, "leafcast: there is no command \"%.64s\"\n", command);
	help(stderr);
	return 2;
}
