/* daemon/config.h - what the operator asked for, read from one YAML file or built in: checked whole before anything
 * starts, so that the rest of the program meets only values in range and references that lead somewhere.
 * Not its duty: opening what it names (listeners, state), reading certificates. Thread: control, and before it. */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include "base/attr.h"
#include "base/log.h"
#include "sds/server.h"
struct buf;
struct config_errors;
struct definitions;
struct fault;

/** Largest config file, in bytes. */
#define CONFIG_FILE_MAX ((size_t)1024 * 1024)

enum listen_type { LISTEN_UNIX = 1, LISTEN_TCP, LISTEN_TELEMETRY };

struct listen_config {
	enum listen_type type;
	int line, column; /* in the file; 0: built in */
	/* LISTEN_UNIX */
	char *path;
	mode_t mode; /* default 0660 */
	uid_t owner; /* (uid_t)-1: left as it is */
	gid_t group; /* (gid_t)-1: left as it is */
	/* LISTEN_TCP, LISTEN_TELEMETRY: "host:port" or "[v6]:port", checked */
	char *address;
	/* LISTEN_TCP: the name of our own certificate (a secret_def with internal = true); its clients' authorities */
	char *certificate;
	char **client_ca;
	size_t client_ca_count;
};

struct config {
	char *source_path; /* NULL: no file */
	unsigned workers;
	enum log_level log_level;
	enum log_format log_format;
	struct listen_config *listen;
	size_t listen_count;
	int64_t drain_grace_ms;
	int64_t repush_ms; /* 0: never */
	char *state_path;
	char *seal_file;	 /* NULL: seal.key in the state folder */
	unsigned past_versions;	 /* earlier versions kept of each secret */
	int64_t past_expired_ms; /* and for how long after they expired */
	char *admin_path;	 /* of the admin socket */
	int64_t trust_soak_ms;	 /* moved into the definitions, as is the next one */
	char *audit_file;	 /* NULL: none */
	struct sds_limits limits;
	struct definitions *definitions; /* NULL once taken */
};

/** Read and check a file. On a fault *ret_errors holds every error found, also where the file could not be read at all
 *  (config_errors_free(); ret_errors may be NULL); the fault's text is a summary with the first of them. Every
 * reference in the result leads somewhere. Blocking. The caller owns *ret. */
MUST_USE struct fault *config_load_file(const char *path, struct config **ret, struct config_errors **ret_errors);
/** The same from memory; path is for the messages. */
MUST_USE struct fault *config_load_text(
	const char *path, const void *text, size_t len, struct config **ret, struct config_errors **ret_errors);
/** Without a file: one authority `builtin`, one profile `default`, the secrets `default` and `ROOTCA`, a rule that
 * gives our own uid every name, a unix socket in the runtime folder. NOT_FOUND: no place for state or sockets. The
 * caller owns *ret. */
MUST_USE struct fault *config_default(struct config **ret);
void config_free(struct config *c); /* NULL is fine */
void config_freep(struct config **c);
/** Moves the definitions out: the caller owns them. */
struct definitions *config_take_definitions(struct config *c);
/** May `next` replace `old` while the server runs? INVALID, with an error for each change that needs a restart. Reads
 * no definitions: `old` may have given them away. */
MUST_USE struct fault *config_check_reload(
	const struct config *old, const struct config *next, struct config_errors **ret_errors);

/** One line per error, as `file:line:column: what was wrong; what would be right`, in the order of the file; line and
 *  column count from 1 and are left out where there is none. Texts are escaped. */
void config_errors_print(const struct config_errors *e, FILE *out);
void config_errors_text(const struct config_errors *e, struct buf *ret);
size_t config_errors_count(const struct config_errors *e);
void config_errors_free(struct config_errors *e); /* NULL is fine */
void config_errors_freep(struct config_errors **e);

/** Every key of the config with its type, default and meaning, as a Markdown table; appended. */
void config_reference(struct buf *ret);
#endif
