/* sds/request_internal.h - what request.c and request_node.c share. Nobody else includes it. */
#ifndef SDS_REQUEST_INTERNAL_H
#define SDS_REQUEST_INTERNAL_H
#include "base/attr.h"
#include "proto/wire.h"
#include "sds/request.h"
struct fault;

struct fault *request_malformed(const char *where);
/** Over a field that is a message. */
struct wire_reader request_enter(const struct wire_field *message);
/** The text of a string field. INVALID: not UTF-8. */
MUST_USE struct fault *request_text(const struct wire_field *f, const char *what, struct view *ret);
#endif
