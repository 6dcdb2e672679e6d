/* control/node.h - what a client says of itself (envoy.config.core.v3.Node), trimmed and immutable. A claim, never an
 * identity. Interned per connection, shared with control by reference. Thread: any. */
#ifndef CONTROL_NODE_H
#define CONTROL_NODE_H
#include <stddef.h>
#include <stdint.h>

struct node {
	char *id; /* "" when it had none */
	char *cluster;
	char *user_agent;				      /* "envoy" */
	uint32_t version_major, version_minor, version_patch; /* user_agent_build_version; 0.0.0: unknown */
};
/* The most that a text may have, whatever the config says. */
#define NODE_TEXT_MAX ((size_t)1024)

/** Texts are copied, cut at text_max bytes (at most NODE_TEXT_MAX). The caller owns a reference. */
struct node *node_new(const char *id, size_t id_len, const char *cluster, size_t cluster_len, const char *user_agent,
	size_t user_agent_len, const uint32_t version[3], size_t text_max);
struct node *node_ref(struct node *n);
void node_unref(struct node *n); /* NULL is fine */
#endif
