/* base/io/evidence.h - what was proven about a peer, as plain values: gathered where the socket is, judged in control.
 */
#ifndef BASE_IO_EVIDENCE_H
#define BASE_IO_EVIDENCE_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum evidence_kind { EVIDENCE_UNIX = 1, EVIDENCE_TLS };
struct evidence {
	enum evidence_kind kind;
	/* EVIDENCE_UNIX: SO_PEERCRED at accept */
	uid_t uid;
	gid_t gid;
	pid_t pid;
	/* EVIDENCE_TLS: borrowed PEM of the verified client's leaf and of the intermediates that it sent (may be empty)
	 */
	const char *leaf_pem;
	size_t leaf_pem_len;
	const char *chain_pem;
	size_t chain_pem_len;
};
#endif
