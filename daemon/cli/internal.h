/* daemon/cli/internal.h - shared by the subcommands of this folder alone: one file per subcommand. */
#ifndef DAEMON_CLI_INTERNAL_H
#define DAEMON_CLI_INTERNAL_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/attr.h"
#include "base/fault.h"
#include "daemon/cli/cli.h"
struct buf;

enum { CLI_OPTIONS_MAX = 12, CLI_NAMES_MAX = 1000 };

/* What a subcommand was given: option values by their place in its table, and the names. */
struct cli_input {
	const char *options[CLI_OPTIONS_MAX]; /* NULL: not given; "" for a flag that was */
	const char *const *names;
	size_t name_count;
	const char *admin; /* --admin, or NULL */
};
struct cli_option {
	const char *name;  /* "cert" for --cert */
	const char *value; /* "FILE"; NULL: a flag */
	const char *help;
};
struct cli_command {
	const char *name, *arguments, *summary, *text; /* text: a paragraph and an example for --help */
	struct cli_option options[CLI_OPTIONS_MAX];
	size_t names_min, names_max;
	bool takes_paths; /* the names are files, not secrets */
	MUST_USE struct fault *(*run)(const struct cli_input *in);
};
extern const struct cli_command cli_audit;
extern const struct cli_command cli_authority;
extern const struct cli_command cli_delete;
extern const struct cli_command cli_envoy;
extern const struct cli_command cli_get;
extern const struct cli_command cli_log_level;
extern const struct cli_command cli_put;
extern const struct cli_command cli_reload;
extern const struct cli_command cli_retry;
extern const struct cli_command cli_rotate;
extern const struct cli_command cli_status;
extern const struct cli_command cli_trust;
extern const struct cli_command cli_compromise;
extern const struct cli_command cli_versions;
extern const struct cli_command cli_rollback;
extern const struct cli_command cli_revoke;
extern const struct cli_command cli_pin;
extern const struct cli_command cli_unpin;
extern const struct cli_command cli_backup;
extern const struct cli_command cli_inventory;
extern const struct cli_command cli_seal;

/** One request to the admin socket: --admin, $LEAFCAST_ADMIN, then the default place. body NULL: GET. The answer's
 * object is the caller's. The server's own refusal comes back as a fault with its code and text. UNAVAILABLE: nobody
 * serves there. secrets: the request carries some; then a server that is neither root's nor our own uid's gets nothing
 * (DENIED). */
MUST_USE struct fault *client_call(
	const struct cli_input *in, const char *path, const json_t *body, bool secrets, json_t **ret);

/** The same, but what is answered is written to fd. *ret_bytes: how much; on a fault part of it may have been. */
MUST_USE struct fault *client_download(
	const struct cli_input *in, const char *path, const json_t *body, int fd, uint64_t *ret_bytes);

/** After an order that was answered well: versions that the server could not store are said. */
void client_say_unstored(const json_t *answer);

/** JSON on stdout with json_dumps()'s flags, and a line feed: printable ASCII, whatever a server put into it. */
MUST_USE struct fault *print_json(const json_t *o, size_t flags);

/** A table on stdout: columns are as wide as their widest cell. Cells are escaped. */
struct table;
struct table *table_new(const char *const *heads, size_t columns);
void table_add(struct table *t, const char *const *cells);
void table_print(struct table *t); /* nothing when it has no row */
void table_free(struct table *t);

/** "in 23m10s", "4m ago", "never" for an ISO time of the server against its own now. The caller owns it. */
char *relative_time(const json_t *o, const char *key, const char *now);
/** A text of the object, "-" when it is null or missing. Borrowed. */
const char *text_or_dash(const json_t *o, const char *key);
/** The same, escaped: for a line of its own. The caller owns it. */
char *safe_or_dash(const json_t *o, const char *key);
/** A number of the object, 0 when it is missing. Bounded, so that some of them can be added: the server need not be
 * ours. */
long long number_of(const json_t *o, const char *key);
#endif
