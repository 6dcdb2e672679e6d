/* tests/unit/faulty_vfs.h - a thin VFS over SQLite's own, the default once it is registered: it counts what changes the
 * disk (write, truncate, sync, delete, and the making of files) and lets the process die, or the operation fail, at a
 * chosen one. */
#ifndef TESTS_UNIT_FAULTY_VFS_H
#define TESTS_UNIT_FAULTY_VFS_H

enum faulty {
	FAULTY_NONE,
	FAULTY_EXIT,  /* the process ends with FAULTY_EXIT_CODE instead of the operation */
	FAULTY_TORN,  /* the same, but half of a write is done */
	FAULTY_FULL,  /* this operation and all later ones: disk full */
	FAULTY_IOERR, /* this operation alone: I/O error; half of a write is done */
};
enum { FAULTY_EXIT_CODE = 77 };

void faulty_vfs_register(void);
/** From now on the nth operation (from 1) meets its fate. */
void faulty_vfs_arm(enum faulty what, long nth);
/** Operations since it was armed. */
long faulty_vfs_count(void);
#endif
