/* sds/request.h - a DiscoveryRequest or DeltaDiscoveryRequest, read straight from the bytes: bounded, no recursion, no
 * copy. Everything is a view into the message, borrowed while the message lives. Pure. */
#ifndef SDS_REQUEST_H
#define SDS_REQUEST_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/attr.h"
struct fault;
struct node;

struct view {
	const char *at;
	size_t len;
};

struct request_version { /* initial_resource_versions */
	struct view name, version;
};

struct request {
	bool delta;
	bool has_node;
	struct view node; /* bytes of the Node message; see request_node() */
	struct view version_info, type_url, nonce;
	bool has_error;
	int error_code;
	struct view error_text;
	struct view *names; /* SotW resource_names, delta resource_names_subscribe (and the locators' names) */
	size_t names_count;
	struct view *unsubscribe;
	size_t unsubscribe_count;
	struct request_version *initial;
	size_t initial_count;
};

/** max_names bounds names, unsubscribe and initial each. Faults: INVALID (malformed protobuf, a text that is not UTF-8:
 * says which field), EXHAUSTED (more names than that). *ret owns its arrays: request_done(). */
MUST_USE struct fault *request_read(const void *bytes, size_t len, bool delta, size_t max_names, struct request *ret);
void request_done(struct request *r);
/** Is it about secrets? On SDS methods an empty type_url is Secret and another one INVALID; on ADS (ads) an empty one
 * is INVALID, and *ret_secret is false for another: ignore it. */
MUST_USE struct fault *request_type_ok(const struct request *r, bool ads, bool *ret_secret);
/** The Node, trimmed, its texts cut at text_max bytes. INVALID: malformed. The caller owns *ret. */
MUST_USE struct fault *request_node(const struct request *r, size_t text_max, struct node **ret);
/** A client's error text without key material: PEM blocks, base64 runs and text dumps of secrets are cut, control
 *  characters escaped, at most 512 bytes. The caller owns it. */
char *request_redact(struct view text);
#endif
