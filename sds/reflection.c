#include "sds/reflection.h"
#include <string.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/table.h"
#include "base/text.h"
#include "proto/wire.h"

enum { FILES_MAX = 256, REQUEST_MAX = 4096, STATUS_NOT_FOUND = 5, STATUS_UNIMPLEMENTED = 12 };

/* Fields of google.protobuf.FileDescriptorSet and FileDescriptorProto. */
enum { SET_FILE = 1, FILE_NAME = 1, FILE_PACKAGE = 2, FILE_DEPENDENCY = 3 };

/* What has a full name: which fields of its descriptor hold parts that have one too. Every name is in field 1. */
enum { DEFINITION_NAME = 1, PARTS_MAX = 4 };
struct kind {
	bool is_scope; /* of the names of its parts; those of an enum's values stand beside the enum's own */
	struct part {
		uint32_t field;
		const struct kind *kind;
	} parts[PARTS_MAX];
};
static const struct kind leaf = {false, {{0, NULL}}};		     /* field, oneof, enum value, method */
static const struct kind enumeration = {false, {{2, &leaf}}};	     /* EnumDescriptorProto.value */
static const struct kind service = {true, {{2, &leaf}}};	     /* ServiceDescriptorProto.method */
static const struct kind message = {true,			     /* DescriptorProto: */
	{{2, &leaf}, {3, &message}, {4, &enumeration}, {8, &leaf}}}; /* field, nested_type, enum_type, oneof_decl */
static const struct kind package = {true,			     /* FileDescriptorProto: */
	{{4, &message}, {5, &enumeration}, {6, &service}}};	     /* message_type, enum_type, service */

/* Of ServerReflectionRequest and ServerReflectionResponse. */
enum { ASK_HOST = 1, ASK_FILE = 3, ASK_SYMBOL = 4, ASK_EXTENSION = 5, ASK_EXTENSION_NUMBERS = 6, ASK_SERVICES = 7 };
enum { EXTENSION_TYPE = 1 };
enum { TELL_HOST = 1, TELL_REQUEST = 2, TELL_FILES = 4, TELL_SERVICES = 6, TELL_ERROR = 7 };

struct file {
	const uint8_t *bytes;
	size_t len;
	char *name;
};

struct symbol {
	UT_hash_handle hh;
	char *name;
	size_t file;
};

struct reflection {
	struct file files[FILES_MAX];
	size_t count;
	struct symbol *symbols;
	char **services;
	size_t service_count;
};

/* --- the index --- */

static bool find_text(const uint8_t *bytes, size_t len, uint32_t number, char **ret)
{
	struct wire_reader r;
	struct wire_field f;
	wire_read(&r, bytes, len);
	while (wire_next(&r, &f))
		if (f.number == number && f.type == WIRE_BYTES) {
			*ret = mem_strndup((const char *)f.bytes, f.len);
			return true;
		}
	return false;
}

static const struct symbol *find_symbol(const struct reflection *r, const char *name, size_t len)
{
	struct symbol *s = NULL;
	HASH_FIND(hh, r->symbols, name, len, s);
	return s;
}

/* Takes name. */
static void add_symbol(struct reflection *r, char *name, size_t file)
{
	struct symbol *s = mem_new(struct symbol);
	invariant(!find_symbol(r, name, strlen(name)));
	s->name = name;
	s->file = file;
	HASH_ADD_KEYPTR(hh, r->symbols, s->name, strlen(s->name), s);
}

/* The parts of a definition, each with its own. Recursion over our own, embedded data alone. */
static void add_parts(
	struct reflection *r, size_t file, const char *scope, const struct kind *kind, const uint8_t *bytes, size_t len)
{
	struct wire_reader reader;
	struct wire_field f;
	wire_read(&reader, bytes, len);
	while (wire_next(&reader, &f)) {
		const struct part *part = kind->parts;
		while (part < kind->parts + PARTS_MAX && part->field != f.number)
			part++;
		if (part == kind->parts + PARTS_MAX || f.type != WIRE_BYTES)
			continue;
		AUTO(mem_freep) char *name = NULL;
		invariant(find_text(f.bytes, f.len, DEFINITION_NAME, &name));
		AUTO(mem_freep) char *full = *scope ? mem_printf("%s.%s", scope, name) : mem_strdup(name);
		add_parts(r, file, part->kind->is_scope ? full : scope, part->kind, f.bytes, f.len);
		add_symbol(r, TAKE(full), file);
	}
	invariant(!reader.bad);
}

static void add_file(struct reflection *r, const uint8_t *bytes, size_t len)
{
	AUTO(mem_freep) char *scope = NULL;
	size_t file = r->count++;
	invariant(file < FILES_MAX);
	invariant(find_text(bytes, len, FILE_NAME, &r->files[file].name));
	r->files[file].bytes = bytes;
	r->files[file].len = len;
	if (!find_text(bytes, len, FILE_PACKAGE, &scope))
		scope = mem_strdup("");
	add_parts(r, file, scope, &package, bytes, len);
}

struct reflection *reflection_new(const void *set, size_t len, const char *const *services, size_t count)
{
	struct reflection *r = mem_new(struct reflection);
	struct wire_reader reader;
	struct wire_field f;
	wire_read(&reader, set, len);
	while (wire_next(&reader, &f))
		if (f.number == SET_FILE && f.type == WIRE_BYTES)
			add_file(r, f.bytes, f.len);
	invariant(!reader.bad);
	r->services = mem_array(char *, count);
	for (size_t i = 0; i < count; i++) {
		invariant(find_symbol(r, services[i], strlen(services[i])));
		r->services[r->service_count++] = mem_strdup(services[i]);
	}
	return r;
}

void reflection_free(struct reflection *r)
{
	struct symbol *s, *next;
	if (!r)
		return;
	HASH_ITER (hh, r->symbols, s, next) {
		HASH_DEL(r->symbols, s);
		free(s->name);
		free(s);
	}
	for (size_t i = 0; i < r->count; i++)
		free(r->files[i].name);
	for (size_t i = 0; i < r->service_count; i++)
		free(r->services[i]);
	free(r->services);
	free(r);
}

/* --- answers --- */

static bool file_named(const struct reflection *r, const char *name, size_t len, size_t *ret)
{
	for (size_t i = 0; i < r->count; i++)
		if (strlen(r->files[i].name) == len && strncmp(r->files[i].name, name, len) == 0) {
			*ret = i;
			return true;
		}
	return false;
}

static void tell_error(int code, const char *text, struct buf *ret)
{
	struct buf error = BUF_INIT;
	wire_put_number(&error, 1, (uint64_t)code);
	wire_put_text(&error, 2, text);
	wire_put_bytes(ret, TELL_ERROR, error.data, error.len);
	buf_free(&error);
}

/* The file, then everything that it imports, each once: clients would ask for them one by one. */
static void tell_files(const struct reflection *r, size_t first, struct buf *ret)
{
	bool seen[FILES_MAX] = {false};
	size_t queue[FILES_MAX], count = 0;
	struct buf files = BUF_INIT;
	seen[first] = true;
	queue[count++] = first;
	for (size_t i = 0; i < count; i++) {
		const struct file *file = &r->files[queue[i]];
		struct wire_reader reader;
		struct wire_field f;
		wire_put_bytes(&files, 1, file->bytes, file->len);
		wire_read(&reader, file->bytes, file->len);
		while (wire_next(&reader, &f)) {
			size_t imported;
			if (f.number != FILE_DEPENDENCY || f.type != WIRE_BYTES ||
				!file_named(r, (const char *)f.bytes, f.len, &imported) || seen[imported])
				continue;
			seen[imported] = true;
			queue[count++] = imported;
		}
	}
	wire_put_bytes(ret, TELL_FILES, files.data, files.len);
	buf_free(&files);
}

static void tell_services(const struct reflection *r, struct buf *ret)
{
	struct buf list = BUF_INIT, one = BUF_INIT;
	for (size_t i = 0; i < r->service_count; i++) {
		buf_truncate(&one, 0);
		wire_put_text(&one, 1, r->services[i]);
		wire_put_bytes(&list, 1, one.data, one.len);
	}
	wire_put_bytes(ret, TELL_SERVICES, buf_text(&list), list.len);
	buf_free(&list);
	buf_free(&one);
}

static void tell_symbol(const struct reflection *r, const char *name, size_t len, struct buf *ret)
{
	bool rooted = len && name[0] == '.';
	const struct symbol *s = find_symbol(r, name + rooted, len - rooted);
	if (s)
		tell_files(r, s->file, ret);
	else
		tell_error(STATUS_NOT_FOUND, "there is no such symbol", ret);
}

static void tell(const struct reflection *r, const struct wire_field *asked, struct buf *ret)
{
	size_t file;
	switch (asked->number) {
	case ASK_FILE:
		if (file_named(r, (const char *)asked->bytes, asked->len, &file))
			tell_files(r, file, ret);
		else
			tell_error(STATUS_NOT_FOUND, "there is no such file", ret);
		break;
	case ASK_SYMBOL:
		tell_symbol(r, (const char *)asked->bytes, asked->len, ret);
		break;
	case ASK_SERVICES:
		tell_services(r, ret);
		break;
	case ASK_EXTENSION:
	case ASK_EXTENSION_NUMBERS:
		tell_error(STATUS_NOT_FOUND, "these messages have no extensions", ret);
		break;
	default:
		tell_error(STATUS_UNIMPLEMENTED, "this question is not known", ret);
	}
}

/* Every text of a message in proto3 is UTF-8: clients refuse an answer that repeats one that is not. */
static bool is_extension_request(const uint8_t *bytes, size_t len)
{
	struct wire_reader reader;
	struct wire_field f;
	wire_read(&reader, bytes, len);
	while (wire_next(&reader, &f))
		if (f.number == EXTENSION_TYPE && f.type == WIRE_BYTES && !text_is_utf8(f.bytes, f.len))
			return false;
	return !reader.bad;
}

struct fault *reflection_answer(const struct reflection *r, const void *request, size_t len, struct buf *ret)
{
	struct wire_reader reader;
	struct wire_field f, host = {.number = 0}, asked = {.number = 0};
	if (len > REQUEST_MAX)
		return fault_new(FAULT_INVALID, "a reflection request of %zu bytes; at most %d", len, REQUEST_MAX);
	wire_read(&reader, request, len);
	while (wire_next(&reader, &f)) {
		bool is_question = f.number >= ASK_FILE && f.number <= ASK_SERVICES;
		if (f.type != WIRE_BYTES || (f.number != ASK_HOST && !is_question))
			continue;
		if (f.number == ASK_EXTENSION ? !is_extension_request(f.bytes, f.len) : !text_is_utf8(f.bytes, f.len))
			return fault_new(FAULT_INVALID, "field %u of the request is malformed", (unsigned)f.number);
		*(is_question ? &asked : &host) = f; /* the last one counts, also of the questions: they are a oneof */
	}
	if (reader.bad)
		return fault_new(FAULT_INVALID, "the request is no protobuf message");
	if (host.len)
		wire_put_bytes(ret, TELL_HOST, host.bytes, host.len);
	wire_put_bytes(ret, TELL_REQUEST, request, len);
	tell(r, &asked, ret);
	return NULL;
}
