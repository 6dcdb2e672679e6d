/* sds/reflection.h - grpc.reflection: which services and messages there are, answered from the embedded descriptor set.
 * v1 and v1alpha have the same fields. Pure; the index is made once and immutable, shared by all workers. */
#ifndef SDS_REFLECTION_H
#define SDS_REFLECTION_H
#include <stddef.h>
#include "base/attr.h"
struct buf;
struct fault;
struct reflection;

/** Index a FileDescriptorSet (borrowed for its life). services: what is served. The caller owns the result. */
struct reflection *reflection_new(const void *set, size_t len, const char *const *services, size_t count);
void reflection_free(struct reflection *r); /* NULL is fine */
/** Append the ServerReflectionResponse to a ServerReflectionRequest: a file comes with all that it imports; what does
 * not exist is an error_response NOT_FOUND. INVALID: malformed, a text that is not UTF-8, or more than 4 KiB. */
MUST_USE struct fault *reflection_answer(const struct reflection *r, const void *request, size_t len, struct buf *ret);
#endif
