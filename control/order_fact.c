#include "control/order_fact.h"
#include <string.h>
#include "base/mem.h"

char *order_fact_new(const char *prefix, const char *who, const char *what)
{
	char *fact = mem_printf("%s%s/%s", prefix, who, what);
	char *from = fact + strlen(prefix);
	for (size_t i = 0; i < strlen(who); i++)
		if (from[i] == '/')
			from[i] = '_';
	return fact;
}

const char *order_fact_read(const char *fact, const char *prefix, char **ret_who)
{
	if (strncmp(fact, prefix, strlen(prefix)) != 0)
		return NULL;
	const char *who = fact + strlen(prefix), *slash = strchr(who, '/');
	if (!slash)
		return NULL;
	*ret_who = mem_strndup(who, (size_t)(slash - who));
	return slash + 1;
}
