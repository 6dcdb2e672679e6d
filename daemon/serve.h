/* daemon/serve.h - leafcast serve: everything wired together, from config to exit. */
#ifndef DAEMON_SERVE_H
#define DAEMON_SERVE_H
/** The process's exit code: 0 after an orderly end, 1 when it could not start, 2 for wrong options. */
int serve_main(int argc, char **argv);
#endif
