/* control/template.h - a SAN with variables from proven identity: "spiffe://td.example/uid/{uid}". Pure. */
#ifndef CONTROL_TEMPLATE_H
#define CONTROL_TEMPLATE_H
#include <stdbool.h>
#include <stddef.h>
#include "base/attr.h"
#include "base/san.h"
struct entry_key;
struct fault;
struct identity;
struct template;

/** INVALID names the column and the variables that exist ("uid", "gid", "uri", "dns", "spiffe.trust_domain",
 * "spiffe.path").
 *  "{{" and "}}" stand for braces. The caller owns *ret. */
MUST_USE struct fault *template_parse(const char *text, enum san_type type, struct template **ret);
size_t template_variable_count(const struct template *t);
const char *template_variable(const struct template *t, size_t i); /* each once, in order of appearance */
/** Fill in from an entry's attributes ("uid=1000"). Each value is checked as one path segment (URI) or label (DNS): no
 * "/",
 *  "..", "%", "?", "#", control characters; "spiffe.path" may hold "/" between valid segments. DENIED when it is not;
 *  NOT_FOUND when the entry lacks the attribute. The caller owns *ret. */
MUST_USE struct fault *template_expand(const struct template *t, const struct entry_key *e, char **ret);
void template_free(struct template *t); /* NULL is fine */
#endif
