/* control/node.c - one allocation per node: thousands of streams of one Envoy share it. */
#include "control/node.h"
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/mem.h"
#include "base/ref.h"

struct counted_node {
	struct ref ref;
	struct node node;
	char texts[];
};

/* How much of a text is kept: up to a NUL, whole characters only. */
static size_t kept(const char *text, size_t len, size_t max)
{
	size_t n = len ? strnlen(text, len) : 0;
	if (n <= max)
		return n;
	n = max;
	while (n && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	return n;
}

static char *put_text(char **at, const char *text, size_t len)
{
	char *start = *at;
	if (len)
		memcpy(start, text, len);
	start[len] = 0;
	*at += len + 1;
	return start;
}

struct node *node_new(const char *id, size_t id_len, const char *cluster, size_t cluster_len, const char *user_agent,
	size_t user_agent_len, const uint32_t version[3], size_t text_max)
{
	size_t max = text_max < NODE_TEXT_MAX ? text_max : NODE_TEXT_MAX;
	size_t id_kept = kept(id, id_len, max), cluster_kept = kept(cluster, cluster_len, max),
	       user_agent_kept = kept(user_agent, user_agent_len, max);
	struct counted_node *c = mem_calloc(1, sizeof *c + id_kept + cluster_kept + user_agent_kept + 3);
	char *at = c->texts;
	ref_init(&c->ref);
	c->node = (struct node){
		.id = put_text(&at, id, id_kept),
		.cluster = put_text(&at, cluster, cluster_kept),
		.user_agent = put_text(&at, user_agent, user_agent_kept),
		.version_major = version[0],
		.version_minor = version[1],
		.version_patch = version[2],
	};
	return &c->node;
}

struct node *node_ref(struct node *n)
{
	ref_up(&container_of(n, struct counted_node, node)->ref);
	return n;
}

void node_unref(struct node *n)
{
	if (!n)
		return;
	struct counted_node *c = container_of(n, struct counted_node, node);
	if (ref_down(&c->ref))
		free(c);
}
