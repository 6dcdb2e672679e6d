#include "base/io/paths.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/fault.h"
#include "base/mem.h"
#include "base/text.h"

/* systemd may give several folders, separated by colons: the first is ours. */
static char *first_of(const char *variable)
{
	const char *value = getenv(variable);
	return value && *value == '/' ? mem_strndup(value, strcspn(value, ":")) : NULL;
}

struct fault *paths_state(char **ret)
{
	char *p = first_of("STATE_DIRECTORY");
	if (!p && geteuid() == 0)
		p = mem_strdup("/var/lib/leafcast");
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	if (!p && state && *state == '/')
		p = mem_printf("%s/leafcast", state);
	if (!p && home && *home == '/')
		p = mem_printf("%s/.local/state/leafcast", home);
	if (!p)
		return fault_new(FAULT_NOT_FOUND,
			"no place for the state folder: set state.path in the config, or $STATE_DIRECTORY");
	*ret = p;
	return NULL;
}

struct fault *paths_runtime(char **ret)
{
	char *p = first_of("RUNTIME_DIRECTORY");
	if (!p && geteuid() == 0)
		p = mem_strdup("/run/leafcast");
	const char *run = getenv("XDG_RUNTIME_DIR");
	if (!p && run && *run == '/')
		p = mem_printf("%s/leafcast", run);
	if (!p)
		return fault_new(FAULT_NOT_FOUND, "no place for the sockets: set $RUNTIME_DIRECTORY or "
						  "$XDG_RUNTIME_DIR, or name the paths in the config");
	*ret = p;
	return NULL;
}

struct fault *paths_runtime_file(const char *name, char **ret)
{
	AUTO(mem_freep) char *folder = NULL;
	TRY(paths_runtime(&folder));
	*ret = mem_printf("%s/%s", folder, name);
	return NULL;
}

bool paths_is_credential(const char *text)
{
	return *text == '/' || (*text && !strchr(text, '/') && strcmp(text, ".") != 0 && strcmp(text, "..") != 0);
}

struct fault *paths_credential(const char *text, char **ret)
{
	AUTO(mem_freep) char *shown = text_escaped(text);
	if (!paths_is_credential(text))
		return fault_new(FAULT_INVALID, "%s is neither an absolute path nor the name of a credential", shown);
	const char *folder = secure_getenv("CREDENTIALS_DIRECTORY");
	if (*text != '/' && (!folder || !*folder))
		return fault_new(FAULT_NOT_FOUND,
			"%s is the name of a credential, but the service manager handed none over "
			"($CREDENTIALS_DIRECTORY); add LoadCredential=%s:FILE, or give an absolute path",
			shown, shown);
	*ret = *text == '/' ? mem_strdup(text) : mem_printf("%s/%s", folder, text);
	return NULL;
}
