/* daemon/version.h - the program's version; CMakeLists.txt says the number. */
#ifndef DAEMON_VERSION_H
#define DAEMON_VERSION_H
#ifndef LEAFCAST_VERSION
#define LEAFCAST_VERSION "0.1.0"
#endif
#endif
