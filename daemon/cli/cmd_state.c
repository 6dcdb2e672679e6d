/* daemon/cli/cmd_state.c - leafcast seal rotate, backup: the state as a whole. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/secret.h"
#include "cache/seal_key.h"
#include "cache/store_check.h"
#include "daemon/cli/internal.h"

enum { OPTION_TO };

/* {"key": hex} of the file, or {}. */
static struct fault *read_given(const char *path, json_t **ret)
{
	AUTO(secret_freep) struct secret *key = NULL;
	char text[SEAL_KEY_TEXT_SIZE];
	if (!path) {
		*ret = json_object();
		return NULL;
	}
	TRY(seal_key_read(path, &key));
	seal_key_text(key, text);
	*ret = json_pack("{s:s}", "key", text);
	OPENSSL_cleanse(text, sizeof text);
	return NULL;
}

static struct fault *run_seal(const struct cli_input *in)
{
	json_t *body = NULL, *o = NULL;
	if (strcmp(in->names[0], "rotate") != 0)
		return fault_new(FAULT_INVALID, "there is no \"seal %.32s\"; try: leafcast seal rotate", in->names[0]);
	TRY(read_given(in->options[OPTION_TO], &body));
	struct fault *f = client_call(in, "/v1/seal/rotate", body, true, &o);
	json_decref(body);
	TRY(f);
	(void)printf("seal: rotated; %lld records are sealed under a new data key\n", number_of(o, "records"));
	if (json_integer_value(json_object_get(o, "damaged")) > 0)
		(void)printf("WARNING: %lld records are damaged and were left alone; the log names them\n",
			number_of(o, "damaged"));
	if (json_is_true(json_object_get(o, "waits")))
		(void)puts("Put the new key in the place of the former one now, and restart leafcast when it suits. "
			   "Until a start with the new\n"
			   "key, both open the state.");
	json_decref(o);
	return NULL;
}

static struct fault *download(const struct cli_input *in, const char *path, int fd, struct store_content *ret)
{
	json_t *body = json_object();
	uint64_t bytes = 0;
	struct fault *f = client_download(in, "/v1/backup", body, fd, &bytes);
	json_decref(body);
	if (!f && fsync(fd) < 0)
		f = fault_errno(errno, "cannot write %s", path);
	/* What was written is what counts, not what was sent. */
	return f ? f : store_check_file(path, ret);
}

static struct fault *run_backup(const struct cli_input *in)
{
	const char *path = in->names[0];
	struct store_content content = {0};
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno == EEXIST ? fault_new(FAULT_CONFLICT, "%s exists; a backup overwrites nothing", path)
				       : fault_errno(errno, "cannot create %s", path);
	struct fault *f = download(in, path, fd, &content);
	(void)close(fd);
	if (f) {
		(void)unlink(path); /* ours, and not whole */
		return f;
	}
	(void)printf("%s: %lld versions of %lld secrets. The seal key is not in it: keep that apart, for the backup "
		     "opens with it alone.\n",
		path, (long long)content.versions, (long long)content.entries);
	return NULL;
}

const struct cli_command cli_seal = {
	.name = "seal",
	.arguments = "rotate",
	.summary = "encrypt what is stored under a new key",
	.text = "Seals every stored record under a new data key, and that under a new seal key, while leafcast serves. "
		"The key file is\n"
		"replaced by one that is made. Where only the operator can replace it (a systemd credential, say), "
		"make "
		"a new key\n"
		"(openssl rand -hex 32 > FILE), give it by --to, and put it in place afterwards. Older backups still "
		"need the key of\n"
		"their day.\n\n"
		"example: leafcast seal rotate",
	.options = {[OPTION_TO] = {"to", "FILE", "the new seal key, which you will put in place"}},
	.names_min = 1,
	.names_max = 1,
	.run = run_seal,
};
const struct cli_command cli_backup = {
	.name = "backup",
	.arguments = "FILE",
	.summary = "copy what is stored, while leafcast serves",
	.text = "Writes a consistent copy of the state into a new file (0600), and checks it. Keys in it are sealed as "
		"in the state: it\n"
		"opens with the seal key of now, which is not in it. leafcast restore puts it back.\n\n"
		"example: leafcast backup /backup/leafcast-monday.db",
	.names_min = 1,
	.names_max = 1,
	.takes_paths = true,
	.run = run_backup,
};
