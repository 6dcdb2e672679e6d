/* control/pattern.h - one pattern of a rule, prepared once and matched often: "*" stops at a separator, "**" does not.
 * Not its duty: which patterns there are, what a match means. Thread: any, read only; matching allocates nothing. */
#ifndef CONTROL_PATTERN_H
#define CONTROL_PATTERN_H
#include <stdbool.h>
#include <stddef.h>

/** Longest pattern, in bytes. */
#define PATTERN_MAX ((size_t)2048)

struct pattern {
	char *text;    /* owned */
	size_t len;    /* of text */
	size_t prefix; /* bytes before the first star; len: a plain name */
	char sep;
};

/** text is copied and at most PATTERN_MAX long. */
void pattern_init(struct pattern *p, const char *text, char sep);
void pattern_done(struct pattern *p);
/** Steps: at most the pattern's length times the text's. */
bool pattern_matches(const struct pattern *p, const char *text, size_t len);
#endif
