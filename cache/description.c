#include "cache/description.h"
#include <stdlib.h>
#include <string.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/mem.h"
#include "cache/canonical.h"

enum { FORMAT = 1 };

struct fault *description_of_credential(const struct credential *c, struct description *ret)
{
	STACK_OF(X509) *chain = credential_chain(c);
	ret->count = 1;
	ret->certs = mem_array(struct cert_info, (size_t)sk_X509_num(chain));
	cert_info_copy(credential_info(c), &ret->certs[0]);
	for (int i = 1; i < sk_X509_num(chain); i++) {
		TRY(cert_info_read(sk_X509_value(chain, i), &ret->certs[ret->count]));
		ret->count++;
	}
	return NULL;
}

void description_of_anchors(const struct anchors *a, struct description *ret)
{
	ret->count = anchors_count(a);
	ret->certs = mem_array(struct cert_info, ret->count);
	for (size_t i = 0; i < ret->count; i++)
		cert_info_copy(anchors_info(a, i), &ret->certs[i]);
}

void description_copy(const struct description *from, struct description *ret)
{
	ret->count = from->count;
	ret->certs = mem_array(struct cert_info, ret->count);
	for (size_t i = 0; i < ret->count; i++)
		cert_info_copy(&from->certs[i], &ret->certs[i]);
}

bool description_is_of(const struct description *d, const struct anchors *a)
{
	bool same = d->count == anchors_count(a);
	for (size_t i = 0; same && i < d->count; i++)
		same = strcmp(d->certs[i].sha256, anchors_info(a, i)->sha256) == 0;
	return same;
}

int64_t description_not_before_ms(const struct description *d)
{
	int64_t latest = INT64_MIN;
	for (size_t i = 0; i < d->count; i++)
		if (d->certs[i].not_before_ms > latest)
			latest = d->certs[i].not_before_ms;
	return latest;
}

int64_t description_not_after_ms(const struct description *d)
{
	int64_t earliest = INT64_MAX;
	for (size_t i = 0; i < d->count; i++)
		if (d->certs[i].not_after_ms < earliest)
			earliest = d->certs[i].not_after_ms;
	return earliest;
}

static void write_cert(const struct cert_info *i, struct buf *ret)
{
	canonical_add_text(ret, i->subject);
	canonical_add_text(ret, i->issuer);
	canonical_add_text(ret, i->serial);
	canonical_add_text(ret, i->sha256);
	canonical_add_text(ret, i->key_id);
	canonical_add_text(ret, i->issuer_key_id);
	canonical_add_text(ret, i->key);
	canonical_add_int(ret, i->not_before_ms);
	canonical_add_int(ret, i->not_after_ms);
	canonical_add_int(ret, i->is_ca);
	canonical_add_int(ret, (int64_t)i->sans.count);
	for (size_t k = 0; k < i->sans.count; k++) {
		canonical_add_int(ret, i->sans.items[k].type);
		canonical_add_text(ret, i->sans.items[k].value);
	}
}

void description_write(const struct description *d, struct buf *ret)
{
	canonical_add_int(ret, FORMAT);
	canonical_add_int(ret, (int64_t)d->count);
	for (size_t i = 0; i < d->count; i++)
		write_cert(&d->certs[i], ret);
}

/* A count from outside: bounded before anything is made for it. */
static size_t read_count(struct canonical_reader *r, int64_t most)
{
	int64_t count = canonical_read_int(r);
	if (count < 0 || count > most)
		r->has_failed = true;
	return r->has_failed ? 0 : (size_t)count;
}

static void read_sans(struct canonical_reader *r, struct san_set *ret)
{
	size_t count = read_count(r, SAN_MAX);
	ret->items = count ? mem_array(struct san, count) : NULL;
	while (ret->count < count && !r->has_failed) {
		int64_t type = canonical_read_int(r);
		char *value = canonical_read_text(r);
		if (!value)
			break;
		if (type < SAN_DNS || type > SAN_EMAIL)
			r->has_failed = true;
		ret->items[ret->count++] = (struct san){(enum san_type)type, value};
	}
	if (ret->count != count)
		r->has_failed = true;
}

static void read_cert(struct canonical_reader *r, struct cert_info *ret)
{
	ret->subject = canonical_read_text(r);
	ret->issuer = canonical_read_text(r);
	ret->serial = canonical_read_text(r);
	ret->sha256 = canonical_read_text(r);
	ret->key_id = canonical_read_text(r);
	ret->issuer_key_id = canonical_read_text(r);
	ret->key = canonical_read_text(r);
	ret->not_before_ms = canonical_read_int(r);
	ret->not_after_ms = canonical_read_int(r);
	ret->is_ca = canonical_read_int(r) != 0;
	read_sans(r, &ret->sans);
	if (!ret->subject || !ret->issuer || !ret->serial || !ret->sha256 || !ret->key_id || !ret->issuer_key_id ||
		!ret->key)
		r->has_failed = true;
}

struct fault *description_read(const void *bytes, size_t len, struct description *ret)
{
	struct canonical_reader r = {bytes, len, false};
	struct description d = {NULL, 0};
	if (canonical_read_int(&r) != FORMAT)
		r.has_failed = true;
	size_t count = read_count(&r, ANCHORS_MAX);
	d.certs = count ? mem_array(struct cert_info, count) : NULL;
	while (d.count < count && !r.has_failed)
		read_cert(&r, &d.certs[d.count++]);
	if (d.count && canonical_is_read(&r)) {
		*ret = d;
		return NULL;
	}
	description_free(&d);
	return fault_new(FAULT_CORRUPT, "its description cannot be read");
}

void description_free(struct description *d)
{
	for (size_t i = 0; i < d->count; i++)
		cert_info_free(&d->certs[i]);
	free(d->certs);
	*d = (struct description){NULL, 0};
}
