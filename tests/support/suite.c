/* The runner and the descriptor check; suite.h says what for. */

#include "support/suite.h"
#include "support/random.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_DESCRIPTORS = 65536, TIMEOUT_S = 60 };

static bool open_before[MAX_DESCRIPTORS];

/* Calls `visit` for each open descriptor but the directory's own. */
static void each_descriptor(void (*visit)(int fd))
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	ck_assert_msg(dir, "cannot read /proc/self/fd, which the descriptor check needs");
	while ((entry = readdir(dir))) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && fd != dirfd(dir))
			visit(fd);
	}
	closedir(dir);
}

static void note(int fd)
{
	ck_assert_int_lt(fd, MAX_DESCRIPTORS);
	open_before[fd] = true;
}

static void compare(int fd)
{
	char link[32], target[256];
	ssize_t length;

	if (open_before[fd])
		return;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	length = readlink(link, target, sizeof target - 1);
	target[length > 0 ? length : 0] = '\0';
	ck_abort_msg("the test left descriptor %d open: %s", fd, target);
}

static void setup(void)
{
	random_restart();
	memset(open_before, 0, sizeof open_before);
	each_descriptor(note);
}

static void teardown(void)
{
	each_descriptor(compare);
}

TCase *suite_case(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_set_timeout(tcase, TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup, teardown);
	suite_add_tcase(suite, tcase);
	return tcase;
}

int suite_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed, run;

	printf("random seed %llu (HAWSER_TEST_SEED sets it)\n", (unsigned long long)random_seed());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	run = srunner_ntests_run(runner);
	srunner_free(runner);
	/* A suite that ran nothing has shown nothing. */
	return failed || !run ? EXIT_FAILURE : EXIT_SUCCESS;
}

unsigned long suite_rounds(unsigned long rounds)
{
	const char *value = getenv("HAWSER_TEST_DIVISOR");
	unsigned long divisor = value ? strtoul(value, NULL, 10) : 1;

	return divisor > 1 && rounds > divisor ? rounds / divisor : rounds;
}
