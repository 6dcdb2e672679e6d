/* control/policy.h - who may have which name, and what a name means for whom: an immutable snapshot with a generation,
 * shared with the workers, asked at the moment of each offer. Default deny; deny wins over every rule; an empty who
 * matches nobody. */
#ifndef CONTROL_POLICY_H
#define CONTROL_POLICY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/attr.h"
struct definitions;
struct entry_key;
struct fault;
struct identity;
struct policy;

/** Reads definitions (rules, and the variables of each configured secret); keeps no reference to it. The caller owns
 * it. */
struct policy *policy_new(const struct definitions *d, uint64_t generation);
struct policy *policy_ref(struct policy *p);
void policy_unref(struct policy *p); /* NULL is fine */
void policy_unrefp(struct policy **p);
uint64_t policy_generation(const struct policy *p);

struct decision {
	bool allowed;
	bool denied_by_rule; /* a deny matched, as opposed to nothing that allows */
	int rule;	     /* index of the rule that decided, -1: none */
	int line;	     /* its line in the config, 0: built in */
};
struct decision policy_decide(const struct policy *p, const struct identity *i, const char *name);
/** The entry that this name is for this caller. A name that the config does not template is an entry of its own, known
 * or not. NOT_FOUND: the template needs an attribute that this identity does not have. The caller owns *ret. */
MUST_USE struct fault *policy_entry(
	const struct policy *p, const struct identity *i, const char *name, struct entry_key **ret);
/** Pattern match as rules do: "*" stops at sep, "**" does not; no other metacharacters. Linear in the pattern times the
 * text. */
bool policy_match(const char *pattern, const char *text, char sep);
#endif
