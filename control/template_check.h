/* control/template_check.h - which variables templates have, where each may stand, and what a value must look like
 * there: for template.c alone. Two callers with different attributes must never get the same name, and no attribute may
 * reach beyond its place. Pure. */
#ifndef CONTROL_TEMPLATE_CHECK_H
#define CONTROL_TEMPLATE_CHECK_H
#include <stdbool.h>
#include <stddef.h>
#include "base/attr.h"
#include "base/san.h"
struct buf;
struct fault;

struct template_variable {
	const char *name;
	bool numeric;	   /* holds digits alone */
	bool stands_alone; /* is a whole SAN: a template of this variable and nothing else */
};
enum { VARIABLE_COUNT = 6 };

struct template_part {
	char *text;				  /* owned; NULL for a variable */
	const struct template_variable *variable; /* or NULL */
};

const struct template_variable *template_variable_find(const char *name, size_t len);
/** "{uid}, {gid}, ..." appended. */
void template_variable_list(struct buf *ret);
/** A value that somebody could have. */
const char *template_variable_example(const struct template_variable *v, enum san_type type);
/** INVALID: a variable where it would let its caller choose more than one segment or label, or where two variables
 * could run into each other. */
MUST_USE struct fault *template_check_places(const struct template_part *parts, size_t count, enum san_type type);
/** alone: the variable is the whole template. */
bool template_value_fits(const struct template_variable *v, const char *value, enum san_type type, bool alone);
/** "one segment of a path", ...: what template_value_fits() asks for. */
const char *template_place_text(const struct template_variable *v, enum san_type type);
#endif
