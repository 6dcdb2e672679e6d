/* daemon/cli/cli.h - the subcommands that talk to a running server. */
#ifndef DAEMON_CLI_CLI_H
#define DAEMON_CLI_CLI_H
#include <stdbool.h>
#include <stdio.h>

enum { CLI_OK = 0, CLI_REFUSED = 1, CLI_USAGE = 2 };

/** Does this folder know the subcommand? */
bool cli_knows(const char *command);
/** argv[0] is the subcommand. The process's exit code: CLI_OK; CLI_REFUSED with the reason on stderr; CLI_USAGE. */
int cli_main(int argc, char **argv);
/** One line per subcommand, for `leafcast --help`. */
void cli_list(FILE *out);
#endif
