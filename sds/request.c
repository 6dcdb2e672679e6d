/* sds/request.c - the fields of DiscoveryRequest and DeltaDiscoveryRequest (envoy/service/discovery/v3/discovery.proto)
 * that matter to us. protobuf-c never sees a request: it cuts strings at NUL, has no bounds and recurses (Node holds a
 * Struct). A field that comes with another wire type is an unknown field, as in every protobuf reader. */
#include "sds/request.h"
#include <stdlib.h>
#include <string.h>
#include "base/fault.h"
#include "base/mem.h"
#include "base/text.h"
#include "sds/frame.h"
#include "sds/request_internal.h"

/* Field numbers, named as upstream. */
enum {
	SOTW_VERSION_INFO = 1,
	SOTW_NODE = 2,
	SOTW_RESOURCE_NAMES = 3,
	SOTW_TYPE_URL = 4,
	SOTW_RESPONSE_NONCE = 5,
	SOTW_ERROR_DETAIL = 6,
	SOTW_RESOURCE_LOCATORS = 7,
	DELTA_NODE = 1,
	DELTA_TYPE_URL = 2,
	DELTA_RESOURCE_NAMES_SUBSCRIBE = 3,
	DELTA_RESOURCE_NAMES_UNSUBSCRIBE = 4,
	DELTA_INITIAL_RESOURCE_VERSIONS = 5,
	DELTA_RESPONSE_NONCE = 6,
	DELTA_ERROR_DETAIL = 7,
	DELTA_RESOURCE_LOCATORS_SUBSCRIBE = 8,
	DELTA_RESOURCE_LOCATORS_UNSUBSCRIBE = 9,
	LOCATOR_NAME = 1,
	MAP_KEY = 1,
	MAP_VALUE = 2,
	STATUS_CODE = 1,
	STATUS_MESSAGE = 2,
};

struct fault *request_malformed(const char *where)
{
	return fault_new(FAULT_INVALID, "malformed protobuf in %s", where);
}

static struct view view(const struct wire_field *f)
{
	return (struct view){(const char *)f->bytes, f->len};
}

struct wire_reader request_enter(const struct wire_field *message)
{
	struct wire_reader r;
	wire_read(&r, message->bytes, message->len);
	return r;
}

struct fault *request_text(const struct wire_field *f, const char *what, struct view *ret)
{
	if (!text_is_utf8(f->bytes, f->len))
		return fault_new(FAULT_INVALID, "%s is not UTF-8", what);
	*ret = view(f);
	return NULL;
}

/* Room for one more element: doubles from 1, for most lists have one name. */
static struct fault *make_room(void **list, size_t count, size_t size, size_t max, const char *what)
{
	if (count >= max)
		return fault_new(FAULT_EXHAUSTED, "more than %zu elements in %s", max, what);
	if (!(count & (count - 1)))
		*list = mem_realloc(*list, (count ? 2 * count : 1) * size);
	return NULL;
}

struct list {
	struct view **views;
	size_t *count;
	size_t max;
	const char *what;
};

static struct fault *add_view(const struct list *l, struct view v)
{
	void *views = *l->views;
	TRY(make_room(&views, *l->count, sizeof v, l->max, l->what));
	*l->views = views;
	(*l->views)[(*l->count)++] = v;
	return NULL;
}

static struct fault *add_name(const struct list *l, const struct wire_field *f)
{
	struct view name;
	TRY(request_text(f, l->what, &name));
	return add_view(l, name);
}

/* ResourceLocator: name = 1; its dynamic parameters mean nothing for secrets. */
static struct fault *add_locator(const struct list *l, const struct wire_field *locator)
{
	struct wire_reader rest = request_enter(locator);
	struct view name = {"", 0};
	struct wire_field f;
	while (wire_next(&rest, &f))
		if (f.number == LOCATOR_NAME && f.type == WIRE_BYTES)
			TRY(request_text(&f, l->what, &name));
	return rest.bad ? request_malformed(l->what) : add_view(l, name);
}

/* map<string, string>: an entry is a message with key = 1, value = 2. */
static struct fault *add_initial(struct request *r, const struct wire_field *entry, size_t max)
{
	static const char what[] = "initial_resource_versions";
	struct wire_reader rest = request_enter(entry);
	struct request_version v = {{"", 0}, {"", 0}};
	struct wire_field f;
	while (wire_next(&rest, &f))
		if (f.type == WIRE_BYTES && (f.number == MAP_KEY || f.number == MAP_VALUE))
			TRY(request_text(&f, what, f.number == MAP_KEY ? &v.name : &v.version));
	if (rest.bad)
		return request_malformed(what);
	void *list = r->initial;
	TRY(make_room(&list, r->initial_count, sizeof v, max, what));
	r->initial = list;
	r->initial[r->initial_count++] = v;
	return NULL;
}

/* google.rpc.Status: code = 1, message = 2. The message need not be UTF-8: Envoy cuts it after 4,096 bytes wherever
 * that falls, and a NACK that went unheard would come again. */
static struct fault *set_error(struct request *r, const struct wire_field *status)
{
	struct wire_reader rest = request_enter(status);
	struct wire_field f;
	r->has_error = true;
	while (wire_next(&rest, &f)) {
		if (f.number == STATUS_CODE && f.type == WIRE_VARINT)
			r->error_code = (int)(int32_t)(uint32_t)f.value;
		else if (f.number == STATUS_MESSAGE && f.type == WIRE_BYTES)
			r->error_text = view(&f);
	}
	return rest.bad ? request_malformed("error_detail") : NULL;
}

static struct fault *set_node(struct request *r, const struct wire_field *f)
{
	r->has_node = true;
	r->node = view(f);
	return NULL;
}

static struct fault *take_sotw(struct request *r, const struct wire_field *f, size_t max)
{
	const struct list names = {&r->names, &r->names_count, max, "resource_names"};
	if (f->type != WIRE_BYTES)
		return NULL;
	switch (f->number) {
	case SOTW_VERSION_INFO:
		return request_text(f, "version_info", &r->version_info);
	case SOTW_NODE:
		return set_node(r, f);
	case SOTW_RESOURCE_NAMES:
		return add_name(&names, f);
	case SOTW_TYPE_URL:
		return request_text(f, "type_url", &r->type_url);
	case SOTW_RESPONSE_NONCE:
		return request_text(f, "response_nonce", &r->nonce);
	case SOTW_ERROR_DETAIL:
		return set_error(r, f);
	case SOTW_RESOURCE_LOCATORS:
		return add_locator(&names, f);
	default:
		return NULL;
	}
}

static struct fault *take_delta(struct request *r, const struct wire_field *f, size_t max)
{
	const struct list names = {&r->names, &r->names_count, max, "resource_names_subscribe"},
			  unsubscribe = {&r->unsubscribe, &r->unsubscribe_count, max, "resource_names_unsubscribe"};
	if (f->type != WIRE_BYTES)
		return NULL;
	switch (f->number) {
	case DELTA_NODE:
		return set_node(r, f);
	case DELTA_TYPE_URL:
		return request_text(f, "type_url", &r->type_url);
	case DELTA_RESOURCE_NAMES_SUBSCRIBE:
		return add_name(&names, f);
	case DELTA_RESOURCE_NAMES_UNSUBSCRIBE:
		return add_name(&unsubscribe, f);
	case DELTA_INITIAL_RESOURCE_VERSIONS:
		return add_initial(r, f, max);
	case DELTA_RESPONSE_NONCE:
		return request_text(f, "response_nonce", &r->nonce);
	case DELTA_ERROR_DETAIL:
		return set_error(r, f);
	case DELTA_RESOURCE_LOCATORS_SUBSCRIBE:
		return add_locator(&names, f);
	case DELTA_RESOURCE_LOCATORS_UNSUBSCRIBE:
		return add_locator(&unsubscribe, f);
	default:
		return NULL;
	}
}

static struct fault *read_fields(struct wire_reader rest, size_t max_names, struct request *r)
{
	struct wire_field f;
	while (wire_next(&rest, &f))
		TRY(r->delta ? take_delta(r, &f, max_names) : take_sotw(r, &f, max_names));
	return rest.bad ? request_malformed("the request") : NULL;
}

struct fault *request_read(const void *bytes, size_t len, bool delta, size_t max_names, struct request *ret)
{
	static const struct view empty = {"", 0};
	struct request r = {.delta = delta,
		.node = empty,
		.version_info = empty,
		.type_url = empty,
		.nonce = empty,
		.error_text = empty};
	struct wire_reader message;
	wire_read(&message, bytes, len);
	struct fault *f = read_fields(message, max_names, &r);
	if (f) {
		request_done(&r);
		return f;
	}
	*ret = r;
	return NULL;
}

void request_done(struct request *r)
{
	free(r->names);
	free(r->unsubscribe);
	free(r->initial);
	*r = (struct request){0};
}

struct fault *request_type_ok(const struct request *r, bool ads, bool *ret_secret)
{
	static const char secret[] = FRAME_SECRET_TYPE_URL;
	bool is_secret = r->type_url.len == sizeof secret - 1 && !memcmp(r->type_url.at, secret, sizeof secret - 1);
	if (ads && !r->type_url.len)
		return fault_new(FAULT_INVALID, "a request on an aggregated stream must have a type_url");
	if (!ads && r->type_url.len && !is_secret)
		return fault_new(FAULT_INVALID, "the secret discovery service serves %s alone", secret);
	*ret_secret = is_secret || !ads;
	return NULL;
}
