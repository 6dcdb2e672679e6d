/* sds/request_node.c - the few fields of a Node (envoy/config/core/v3/base.proto) that are kept. The rest, most of its
 * 60 KB, is stepped over: metadata, locality and hundreds of extensions are never looked into. */
#include "base/fault.h"
#include "control/node.h"
#include "sds/request_internal.h"

enum {
	NODE_ID = 1,
	NODE_CLUSTER = 2,
	NODE_USER_AGENT_NAME = 6,
	NODE_USER_AGENT_BUILD_VERSION = 8,
	BUILD_VERSION_VERSION = 1,
	SEMANTIC_VERSION_PATCH = 3, /* after major_number and minor_number */
};

struct kept {
	struct view id, cluster, user_agent;
	uint32_t version[3];
};

static struct fault *set_semantic(uint32_t version[3], const struct wire_field *message)
{
	struct wire_reader rest = request_enter(message);
	struct wire_field f;
	while (wire_next(&rest, &f))
		if (f.type == WIRE_VARINT && f.number <= SEMANTIC_VERSION_PATCH)
			version[f.number - 1] = (uint32_t)f.value;
	return rest.bad ? request_malformed("node.user_agent_build_version.version") : NULL;
}

static struct fault *set_build(uint32_t version[3], const struct wire_field *message)
{
	struct wire_reader rest = request_enter(message);
	struct wire_field f;
	while (wire_next(&rest, &f))
		if (f.type == WIRE_BYTES && f.number == BUILD_VERSION_VERSION)
			TRY(set_semantic(version, &f));
	return rest.bad ? request_malformed("node.user_agent_build_version") : NULL;
}

static struct fault *take_field(struct kept *k, const struct wire_field *f)
{
	if (f->type != WIRE_BYTES)
		return NULL;
	switch (f->number) {
	case NODE_ID:
		return request_text(f, "node.id", &k->id);
	case NODE_CLUSTER:
		return request_text(f, "node.cluster", &k->cluster);
	case NODE_USER_AGENT_NAME:
		return request_text(f, "node.user_agent_name", &k->user_agent);
	case NODE_USER_AGENT_BUILD_VERSION:
		return set_build(k->version, f);
	default:
		return NULL;
	}
}

struct fault *request_node(const struct request *r, size_t text_max, struct node **ret)
{
	struct kept k = {{"", 0}, {"", 0}, {"", 0}, {0}};
	struct wire_reader rest;
	struct wire_field f;
	wire_read(&rest, r->node.at, r->node.len);
	while (wire_next(&rest, &f))
		TRY(take_field(&k, &f));
	if (rest.bad)
		return request_malformed("node");
	*ret = node_new(
		k.id.at, k.id.len, k.cluster.at, k.cluster.len, k.user_agent.at, k.user_agent.len, k.version, text_max);
	return NULL;
}
