/* base/io/paths.h - where things are by default: the state folder, and the folder of the sockets. Thread: any, before
 * threads change the environment (nobody does). */
#ifndef BASE_IO_PATHS_H
#define BASE_IO_PATHS_H
#include <stdbool.h>
#include "base/attr.h"
struct fault;

/** $STATE_DIRECTORY, else /var/lib/leafcast for root, else $XDG_STATE_HOME/leafcast or ~/.local/state/leafcast. The
 * caller owns *ret. NOT_FOUND: no home folder either; says what to set. */
MUST_USE struct fault *paths_state(char **ret);
/** $RUNTIME_DIRECTORY, else /run/leafcast for root, else $XDG_RUNTIME_DIR/leafcast. NOT_FOUND says what to set. */
MUST_USE struct fault *paths_runtime(char **ret);
/** A file in the runtime folder: "sds.sock", "admin.sock". */
MUST_USE struct fault *paths_runtime_file(const char *name, char **ret);

/** Is it what paths_credential() takes: an absolute path, or the name of a credential alone? */
bool paths_is_credential(const char *text);
/** Where a credential of the config is: an absolute path as it stands; a name alone in $CREDENTIALS_DIRECTORY, where
 * the service manager puts what LoadCredential= names. The caller owns *ret. INVALID: neither; NOT_FOUND: there is no
 * such folder. */
MUST_USE struct fault *paths_credential(const char *text, char **ret);
#endif
