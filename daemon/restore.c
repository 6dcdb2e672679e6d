#include "daemon/restore.h"
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/text.h"
#include "cache/store_check.h"
#include "daemon/config.h"

static const char help[] =
	"usage: leafcast restore FILE [-c CONFIG] [--state FOLDER] [--seal-key KEY]\n\n"
	"Puts a backup back as the state, while no leafcast runs on it. The state folder must be empty: nothing is "
	"overwritten. What\n"
	"was issued or put after the backup is not in it: certificates are issued anew as they are due, secrets that "
	"were "
	"put must be\n"
	"put again.\n\n"
	"options:\n"
	"  -c, --config CONFIG  takes the state folder and the seal key's place from there\n"
	"  --state FOLDER       the state folder (default: the config's, or where serve has it without one)\n"
	"  --seal-key KEY       the seal key of the backup's day; it is copied to its place where there is none\n"
	"  --help               this text\n\n"
	"example: leafcast restore /backup/leafcast-monday.db -c leafcast.yaml --seal-key /safe/seal.key\n";

struct input {
	const char *from, *config, *state, *seal_key;
};

/* 0: go on; otherwise *ret_exit says how to end. */
static bool parse(int argc, char **argv, struct input *in, int *ret_exit)
{
	enum { STATE = 1000, SEAL_KEY };
	static const struct option longs[] = {{"config", required_argument, NULL, 'c'},
		{"state", required_argument, NULL, STATE}, {"seal-key", required_argument, NULL, SEAL_KEY},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	optind = 1;
	for (int o; (o = getopt_long(argc, argv, "c:h", longs, NULL)) != -1;) {
		if (o == 'c')
			in->config = optarg;
		else if (o == STATE)
			in->state = optarg;
		else if (o == SEAL_KEY)
			in->seal_key = optarg;
		else {
			(void)fputs(help, o == 'h' ? stdout : stderr);
			*ret_exit = o == 'h' ? 0 : 2;
			return false;
		}
	}
	if (optind + 1 == argc) {
		in->from = argv[optind];
		return true;
	}
	(void)fputs(help, stderr);
	*ret_exit = 2;
	return false;
}

static struct fault *read_config(const char *path, struct config **ret)
{
	struct config_errors *errors = NULL;
	if (!path)
		return config_default(ret);
	struct fault *f = config_load_file(path, ret, &errors);
	config_errors_print(errors, stderr);
	config_errors_free(errors);
	return f;
}

static struct fault *run(const struct input *in)
{
	AUTO(config_freep) struct config *c = NULL;
	struct store_content content = {0};
	char put[32] = "never";
	if (!in->state || in->config)
		TRY(read_config(in->config, &c));
	const struct store_restore_options o = {.folder = in->state ? in->state : c->state_path,
		.seal_file = c ? c->seal_file : NULL,
		.seal_from = in->seal_key};
	TRY(store_restore(in->from, &o, &content));
	if (content.last_put_ms)
		clock_format(content.last_put_ms, put, sizeof put);
	(void)printf("%s: %lld versions of %lld secrets, the last stored at %s\n", o.folder,
		(long long)content.versions, (long long)content.entries, put);
	return NULL;
}

int restore_main(int argc, char **argv)
{
	struct input in = {NULL, NULL, NULL, NULL};
	int code = 0;
	if (!parse(argc, argv, &in, &code))
		return code;
	AUTO(fault_freep) struct fault *f = run(&in);
	if (!f)
		return 0;
	AUTO(mem_freep) char *safe = text_escaped(fault_text(f));
	(void)fprintf(stderr, "leafcast restore: %s\n", safe);
	return 1;
}
