#include "daemon/check.h"
#include <getopt.h>
#include <stdio.h>
#include "base/buf.h"
#include "base/fault.h"
#include "control/definitions.h"
#include "daemon/config.h"

static const char help[] = "usage: leafcast check FILE\n\n"
			   "Reads a config file without starting anything, and prints every error as file:line:column: "
			   "what is wrong; what would be\n"
			   "right. Exit code 0: the file is good; 1: it is not.\n\n"
			   "options:\n"
			   "  --reference          print every key of the config with its type, default and meaning\n"
			   "  --help               this text\n";

static void print_reference(void)
{
	struct buf b = BUF_INIT;
	config_reference(&b);
	(void)fputs(buf_text(&b), stdout);
	buf_free(&b);
}

int check_main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"reference", no_argument, NULL, 'r'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	optind = 1;
	for (int o; (o = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
		if (o == 'r')
			print_reference();
		else
			(void)fputs(help, o == 'h' ? stdout : stderr);
		return o == '?' ? 2 : 0;
	}
	if (optind + 1 != argc) {
		(void)fputs(help, stderr);
		return 2;
	}
	struct config *c = NULL;
	struct config_errors *errors = NULL;
	AUTO(fault_freep) struct fault *f = config_load_file(argv[optind], &c, &errors);
	size_t count = config_errors_count(errors);
	config_errors_print(errors, stderr);
	config_errors_free(errors);
	if (f) {
		if (!count)
			(void)fprintf(stderr, "%s\n", fault_text(f));
		return 1;
	}
	(void)printf("%s: good: %zu listeners, %zu authorities, %zu secrets, %zu rules\n", argv[optind],
		c->listen_count, c->definitions->authority_count, c->definitions->secret_count,
		c->definitions->rule_count);
	config_free(c);
	return 0;
}
