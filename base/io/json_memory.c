#include "base/io/json_memory.h"
#include <jansson.h>
#include "base/wiping.h"

void json_memory_wipe(void)
{
	json_set_alloc_funcs(wiping_malloc, wiping_free);
}

void json_memory_free_text(char *text)
{
	json_malloc_t allocate;
	json_free_t release;
	json_get_alloc_funcs(&allocate, &release);
	release(text);
}
