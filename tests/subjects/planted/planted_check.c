/* Planted misuses in a Check suite; the comments tell the test what is at fault. */
#include <check.h>
#include <stdlib.h>

#include "planted.h"

START_TEST(clean)
{
	open_and_finish();
	ck_assert(planted != NULL);
}
END_TEST

START_TEST(leaks)
{
	open_planted(); /* planted: leaked */
	ck_assert(planted != NULL);
}
END_TEST

START_TEST(uses_after_finish)
{
	open_and_finish();
	ask("SELECT 2"); /* planted: used-after-finish */
	ck_assert(planted != NULL);
}
END_TEST

START_TEST(finishes_twice)
{
	open_and_finish();
	finish_planted(); /* planted: finished-twice */
	ck_assert(planted != NULL);
}
END_TEST

START_TEST(leaves_a_transaction)
{
	leave_transaction(); /* planted: transaction-left-open */
	ck_assert(planted != NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("planted");
	TCase *tests = tcase_create("core");

	tcase_add_test(tests, clean);
	tcase_add_test(tests, leaks);
	tcase_add_test(tests, uses_after_finish);
	tcase_add_test(tests, finishes_twice);
	tcase_add_test(tests, leaves_a_transaction);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failures = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failures != 0;
}
