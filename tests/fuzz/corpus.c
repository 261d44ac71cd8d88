/* Runs a fuzz target over files, or all files of folders: CORPUS... */

#include "fuzz.h"
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

static unsigned inputs;

/* The bytes end where their memory does, as libFuzzer has it. */
static int run_file(const char *path)
{
	struct stat status;
	uint8_t *data;
	size_t size;
	FILE *file = fopen(path, "rb");

	if (!file || fstat(fileno(file), &status) < 0) {
		perror(path);
		return -1;
	}
	size = (size_t)status.st_size;
	data = malloc(size ? size : 1);
	if (!data || fread(data, 1, size, file) != size) {
		fprintf(stderr, "%s: cannot be read in full\n", path);
		return -1;
	}
	fclose(file);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	inputs++;
	return 0;
}

static int run(const char *path)
{
	struct dirent *entry;
	DIR *dir = opendir(path);
	int r = 0;

	if (!dir)
		return run_file(path);
	while (r == 0 && (entry = readdir(dir))) {
		char inside[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
		r = run(inside);
	}
	closedir(dir);
	return r;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (run(argv[i]) < 0)
			return EXIT_FAILURE;
	printf("%u inputs\n", inputs);
	/* Nothing run is nothing shown. */
	return inputs ? EXIT_SUCCESS : EXIT_FAILURE;
}
