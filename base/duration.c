#include "base/duration.h"
#include <stdio.h>
#include <string.h>
#include "base/attr.h"

static const struct {
	const char *name;
	int64_t ms;
} units[] = {{"d", INT64_C(86400000)}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const int64_t longest_ms = INT64_C(100) * 366 * 86400000;

/* The unit at text, not before `first`. */
static size_t unit_at(const char *text, size_t first)
{
	size_t len = strspn(text, "dhms");
	for (size_t u = first; u < ARRAY_LEN(units); u++)
		if (strlen(units[u].name) == len && strncmp(units[u].name, text, len) == 0)
			return u;
	return ARRAY_LEN(units);
}

bool duration_parse(const char *text, int64_t *ret_ms)
{
	int64_t sum = 0;
	size_t next = 0;
	if (!*text)
		return false;
	while (*text) {
		int64_t n = 0;
		size_t digits = strspn(text, "0123456789");
		if (digits == 0 || digits > 15)
			return false;
		for (size_t i = 0; i < digits; i++)
			n = n * 10 + (text[i] - '0');
		text += digits;
		size_t u = unit_at(text, next);
		if (u == ARRAY_LEN(units) || n > longest_ms / units[u].ms)
			return false;
		sum += n * units[u].ms;
		text += strlen(units[u].name);
		next = u + 1;
	}
	if (sum > longest_ms)
		return false;
	*ret_ms = sum;
	return true;
}

const char *duration_text(int64_t ms, char *ret, size_t size)
{
	size_t used = 0;
	(void)snprintf(ret, size, "0s");
	for (size_t u = 0; u < ARRAY_LEN(units); u++) {
		int64_t n = ms / units[u].ms;
		ms %= units[u].ms;
		if (n && used < size)
			used += (size_t)snprintf(ret + used, size - used, "%lld%s", (long long)n, units[u].name);
	}
	return ret;
}
