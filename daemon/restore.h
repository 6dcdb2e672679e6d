/* daemon/restore.h - leafcast restore: a backup put back as the state, offline. */
#ifndef DAEMON_RESTORE_H
#define DAEMON_RESTORE_H
/** Exit code. */
int restore_main(int argc, char **argv);
#endif
