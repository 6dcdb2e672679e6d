/* tests/fuzz/fuzz_config.c - the config's reader on any bytes: it ends, leaks nothing, and gives either errors or a
 * config of which a policy can be made. */
#include <stdint.h>
#include <stdlib.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "control/definitions.h"
#include "control/identity.h"
#include "control/policy.h"
#include "daemon/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	invariant(setenv("STATE_DIRECTORY", "/state", 1) == 0 && setenv("RUNTIME_DIRECTORY", "/run/x", 1) == 0);
	return 0;
}

static void use(struct config *c)
{
	AUTO(definitions_freep) struct definitions *d = config_take_definitions(c);
	AUTO(policy_unrefp) struct policy *p = policy_new(d, 1);
	AUTO(identity_unrefp) struct identity *i = identity_new_unix(0, 0, 1);
	for (size_t k = 0; k < d->secret_count; k++)
		(void)policy_decide(p, i, d->secrets[k].name);
	for (size_t k = 0; k < d->profile_count; k++) {
		invariant(d->profiles[k].authority_count);
		for (size_t n = 0; n < d->profiles[k].authority_count; n++)
			invariant(definitions_authority(d, d->profiles[k].authorities[n]));
	}
	struct fault *f = config_check_reload(c, c, NULL);
	invariant(!f); /* it is like itself */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	AUTO(config_freep) struct config *c = NULL;
	AUTO(config_errors_freep) struct config_errors *e = NULL;
	struct buf text = BUF_INIT;
	struct fault *f = config_load_text("x.yaml", data, len, &c, &e);
	invariant((f == NULL) == (c != NULL) && (f != NULL) == (e != NULL));
	config_errors_text(e, &text);
	invariant((text.len > 0) == (f != NULL));
	if (c)
		use(c);
	buf_free(&text);
	fault_free(f);
	return 0;
}
