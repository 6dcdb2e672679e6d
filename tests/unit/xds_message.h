/* tests/unit/xds_message.h - requests to send, and as much of the answers as the serving side's tests look at: written
 * by hand, so that they share nothing with what is tested. */
#ifndef TESTS_UNIT_XDS_MESSAGE_H
#define TESTS_UNIT_XDS_MESSAGE_H
#include <stdbool.h>
#include "base/buf.h"

enum { XDS_TEXT_MAX = 128, XDS_NAMES_MAX = 8 };
struct xds_ask {
	bool delta;
	const char *node_id;  /* NULL: no node */
	const char *type_url; /* NULL: Secret; "" is left out */
	const char *nonce, *version, *error;
	const char *names[XDS_NAMES_MAX]; /* SotW resource_names, delta resource_names_subscribe; NULL ends them */
	const char *unsubscribe[XDS_NAMES_MAX]; /* delta */
	const char *held_name, *held_version;	/* delta: initial_resource_versions */
};
void xds_write(const struct xds_ask *a, struct buf *ret); /* appended */

struct xds_answer {
	char version[XDS_TEXT_MAX]; /* SotW version_info, delta: of the only resource */
	char nonce[XDS_TEXT_MAX], type_url[XDS_TEXT_MAX];
	char names[XDS_NAMES_MAX][XDS_TEXT_MAX]; /* Secret.name of each resource */
	size_t count;
	char removed[XDS_NAMES_MAX][XDS_TEXT_MAX];
	size_t removed_count;
	size_t body_len; /* of the last resource's Secret, its name left out */
};
/** False: malformed. */
bool xds_read(const struct buf *bytes, bool delta, struct xds_answer *ret);
#endif
