/* sds/frame.h - the small head of a response, to be followed on the wire by a version's shared body. Fields are ordered
 * such that the body comes last. Pure. */
#ifndef SDS_FRAME_H
#define SDS_FRAME_H
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"

#define FRAME_SECRET_TYPE_URL "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

struct frame {
	bool delta;
	const char *type_url; /* FRAME_SECRET_TYPE_URL */
	const char *version;  /* of the content */
	const char *nonce;
	const char *control_plane;
};
/** Append everything of the response up to the body: name is the secret's, body_len the length of what will follow. */
void frame_offer(const struct frame *f, const char *name, size_t body_len, struct buf *ret);
/** A whole delta response that removes names. */
void frame_removed(const struct frame *f, const char *name, size_t name_len, struct buf *ret);
/** One resource of a DiscoveryResponse with several (FetchSecrets): append "resources" up to the body. */
void frame_fetch_resource(const char *name, size_t body_len, struct buf *ret);
/** The rest of that response (version_info, type_url, nonce, control_plane), no resources. */
void frame_fetch_rest(const struct frame *f, struct buf *ret);
#endif
