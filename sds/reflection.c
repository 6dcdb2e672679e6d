#include "sds/reflection.h"
#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/table.h"
#include "base/text.h"
#include "proto/wire.h"

enum { FILES_MAX = 256, REQUEST_MAX = 4096, STATUS_NOT_FOUND = 5, STATUS_UNIMPLEMENTED = 12 };

/* Fields of google.protobuf.FileDescriptorSet, FileDescriptorProto, DescriptorProto, EnumDescriptorProto,
 * ServiceDescriptorProto. */
enum { SET_FILE = 1 };
enum { FILE_NAME = 1, FILE_PACKAGE = 2, FILE_DEPENDENCY = 3, FILE_MESSAGE = 4, FILE_ENUM = 5, FILE_SERVICE = 6 };
enum {
	ANY_NAME = 1,
	MESSAGE_FIELD = 2,
	MESSAGE_NESTED = 3,
	MESSAGE_ENUM = 4,
	MESSAGE_ONEOF = 8,
	ENUM_VALUE = 2,
	SERVICE_METHOD = 2
};
/* Of ServerReflectionRequest and ServerReflectionResponse. */
enum { ASK_HOST = 1, ASK_FILE = 3, ASK_SYMBOL = 4, ASK_EXTENSION = 5, ASK_EXTENSION_NUMBERS = 6, ASK_SERVICES = 7 };
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

static char *join(const char *scope, const char *name)
{
	return *scope ? mem_printf("%s.%s", scope, name) : mem_strdup(name);
}

/* Takes name. */
static void add_symbol(struct reflection *r, char *name, size_t file)
{
	struct symbol *s = NULL;
	HASH_FIND_STR(r->symbols, name, s);
	if (s) {
		free(name);
		return;
	}
	s = mem_new(struct symbol);
	s->name = name;
	s->file = file;
	HASH_ADD_KEYPTR(hh, r->symbols, s->name, strlen(s->name), s);
}

/* A definition and the parts of it that have names. Recursion over our own, embedded data alone. */
static void add_definition(struct reflection *r, size_t file, const char *scope, const uint8_t *bytes, size_t len,
	const uint32_t *parts, size_t part_count)
{
	AUTO(mem_freep) char *own = NULL;
	struct wire_reader reader;
	struct wire_field f;
	if (!find_text(bytes, len, ANY_NAME, &own))
		return;
	AUTO(mem_freep) char *full = join(scope, own);
	add_symbol(r, mem_strdup(full), file);
	wire_read(&reader, bytes, len);
	while (wire_next(&reader, &f))
		for (size_t i = 0; f.type == WIRE_BYTES && i < part_count; i++) {
			static const uint32_t message_parts[] = {
				MESSAGE_FIELD, MESSAGE_NESTED, MESSAGE_ENUM, MESSAGE_ONEOF};
			bool nested = part_count == ARRAY_LEN(message_parts) && f.number == MESSAGE_NESTED;
			if (f.number == parts[i])
				add_definition(r, file, full, f.bytes, f.len, nested ? message_parts : NULL,
					nested ? ARRAY_LEN(message_parts) : 0);
		}
}

static void add_file(struct reflection *r, const uint8_t *bytes, size_t len)
{
	static const uint32_t message_parts[] = {MESSAGE_FIELD, MESSAGE_NESTED, MESSAGE_ENUM, MESSAGE_ONEOF};
	static const uint32_t enum_parts[] = {ENUM_VALUE}, service_parts[] = {SERVICE_METHOD};
	AUTO(mem_freep) char *package = NULL;
	struct wire_reader reader;
	struct wire_field f;
	size_t number = r->count;
	invariant(number < FILES_MAX);
	invariant(find_text(bytes, len, FILE_NAME, &r->files[number].name));
	r->files[number].bytes = bytes;
	r->files[number].len = len;
	r->count++;
	if (!find_text(bytes, len, FILE_PACKAGE, &package))
		package = mem_strdup("");
	wire_read(&reader, bytes, len);
	while (wire_next(&reader, &f)) {
		if (f.type != WIRE_BYTES)
			continue;
		if (f.number == FILE_MESSAGE)
			add_definition(r, number, package, f.bytes, f.len, message_parts, ARRAY_LEN(message_parts));
		else if (f.number == FILE_ENUM)
			add_definition(r, number, package, f.bytes, f.len, enum_parts, ARRAY_LEN(enum_parts));
		else if (f.number == FILE_SERVICE)
			add_definition(r, number, package, f.bytes, f.len, service_parts, ARRAY_LEN(service_parts));
	}
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
	for (size_t i = 0; i < count; i++)
		r->services[r->service_count++] = mem_strdup(services[i]);
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

static void tell_symbol(const struct reflection *r, const uint8_t *bytes, size_t len, struct buf *ret)
{
	struct symbol *s = NULL;
	if (len && bytes[0] == '.') {
		bytes++;
		len--;
	}
	HASH_FIND(hh, r->symbols, bytes, len, s);
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
		tell_symbol(r, asked->bytes, asked->len, ret);
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

struct fault *reflection_answer(const struct reflection *r, const void *request, size_t len, struct buf *ret)
{
	struct wire_reader reader;
	struct wire_field f, asked = {.number = 0};
	if (len > REQUEST_MAX)
		return fault_new(FAULT_INVALID, "a reflection request of %zu bytes; at most %d", len, REQUEST_MAX);
	wire_read(&reader, request, len);
	while (wire_next(&reader, &f)) {
		if (f.type != WIRE_BYTES)
			continue;
		if (f.number == ASK_HOST && text_is_utf8(f.bytes, f.len))
			wire_put_bytes(ret, TELL_HOST, f.bytes, f.len);
		else if (f.number > ASK_HOST)
			asked = f; /* a oneof: the last one counts */
	}
	if (reader.bad)
		return fault_new(FAULT_INVALID, "the request is no protobuf message");
	wire_put_bytes(ret, TELL_REQUEST, request, len);
	tell(r, &asked, ret);
	return NULL;
}
