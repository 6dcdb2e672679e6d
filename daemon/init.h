/* daemon/init.h - leafcast init: a commented config to start from, tried against the authority that it names. */
#ifndef DAEMON_INIT_H
#define DAEMON_INIT_H
/** Exit code: 0, 1 when something was refused or --check failed, 2 for wrong options. */
int init_main(int argc, char **argv);
#endif
