/* base/io/paths.h - where things are by default: the state folder, and the folder of the sockets. Thread: any, before
 * threads change the environment (nobody does). */
#ifndef BASE_IO_PATHS_H
#define BASE_IO_PATHS_H
#include "base/attr.h"
struct fault;

/** $STATE_DIRECTORY, else /var/lib/leafcast for root, else $XDG_STATE_HOME/leafcast or ~/.local/state/leafcast. The
 * caller owns *ret. NOT_FOUND: no home folder either; says what to set. */
MUST_USE struct fault *paths_state(char **ret);
/** $RUNTIME_DIRECTORY, else /run/leafcast for root, else $XDG_RUNTIME_DIR/leafcast. NOT_FOUND says what to set. */
MUST_USE struct fault *paths_runtime(char **ret);
/** A file in the runtime folder: "sds.sock", "admin.sock". */
MUST_USE struct fault *paths_runtime_file(const char *name, char **ret);
#endif
