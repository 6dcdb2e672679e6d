/* proto/descriptors.h - the descriptors of every message and service in this folder, for reflection: a serialized
 * google.protobuf.FileDescriptorSet, imports included. Thread: any. */
#ifndef PROTO_DESCRIPTORS_H
#define PROTO_DESCRIPTORS_H
#include <stddef.h>
/** Static. */
const unsigned char *descriptors_set(size_t *ret_len);
#endif
