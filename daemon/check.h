/* daemon/check.h - leafcast check FILE: every error of a config at once. */
#ifndef DAEMON_CHECK_H
#define DAEMON_CHECK_H
/** 0: the file is good; 1: it is not, each error on stderr as file:line:column: what: what would be right; 2: wrong
 * options. */
int check_main(int argc, char **argv);
#endif
