/*
 * A Check suite whose every test leaks a connection. With CK_FORK=yes each test is a process of its
 * own, which uses the connections that the suite's process has opened, too; Check runs them one
 * after the other.
 *
 * usage: check_suite [finish]
 *   finish  each test finishes a connection of the suite's process, as tests written for
 * CK_FORK=yes may do
 */
#include "leaky.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPENED_BY_SUITE 5

static PGconn *shared;
static bool finishes, parent_fails;
static pid_t suite_process;

/* Unchecked fixtures run in the suite's process, even when the tests do not. */
static void open_shared(void)
{
	suite_process = getpid();
	shared = PQconnectdb("");
	parent_fails = !runs(shared, "CREATE TEMPORARY TABLE tests (number int)");
	for (int i = 0; i < OPENED_BY_SUITE; i++)
		parent_fails |= !leak_one();
}

static void use_shared(void)
{
	const char *tests = value_of(shared, "SELECT count(*) FROM tests");

	printf("%s tests have used the connection of the suite's process\n", tests);
	parent_fails |= atoi(tests) != LEAKING_TESTS + 1 || !all_as_left();
}

static void leave_shared(void)
{
	ck_assert(runs(shared, "INSERT INTO tests VALUES (1)"));
	if (finishes && getpid() != suite_process)
		PQfinish(shared);
}

START_TEST(leaks)
{
	ck_assert(leak_one());
	ck_assert(all_as_left());
	leave_shared();
}
END_TEST

START_TEST(leaks_many)
{
	for (int i = 0; i < LEAKING_TESTS; i++)
		ck_assert(leak_one());
	ck_assert(all_as_left());
	leave_shared();
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("leaky");
	TCase *tests = tcase_create("core");

	finishes = argc == 2 && strcmp(argv[1], "finish") == 0;
	tcase_add_unchecked_fixture(tests, open_shared, use_shared);
	tcase_add_loop_test(tests, leaks, 0, LEAKING_TESTS);
	tcase_add_test(tests, leaks_many);
	tcase_set_timeout(tests, 60);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failures = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failures != 0 || parent_fails;
}
