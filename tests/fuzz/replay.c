/* tests/fuzz/replay.c - runs every file of the given folders through a fuzz target, for builds without libFuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
/* Not every target has one. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

static int replay_file(const char *path)
{
	static uint8_t data[8 << 20];
	FILE *f = fopen(path, "rb");
	if (!f)
		return -1;
	size_t len = fread(data, 1, sizeof data, f);
	(void)fclose(f);
	return LLVMFuzzerTestOneInput(data, len);
}

int main(int argc, char **argv)
{
	int files = 0;
	if (LLVMFuzzerInitialize)
		(void)LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++) {
		DIR *d = opendir(argv[i]);
		if (!d) {
			perror(argv[i]);
			return 1;
		}
		for (struct dirent *e; (e = readdir(d));) {
			char path[4096];
			if (e->d_name[0] == '.')
				continue;
			(void)snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
			if (replay_file(path) < 0) {
				perror(path);
				return 1;
			}
			files++;
		}
		closedir(d);
	}
	printf("%d seeds replayed\n", files);
	return files ? 0 : 1;
}
