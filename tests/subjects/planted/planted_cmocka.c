/* Planted misuses in a cmocka suite; the comments tell the test what is at fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "planted.h"

static void clean(void **state)
{
	(void)state;
	open_and_finish();
	planted_calls++;
}

static void leaks(void **state)
{
	(void)state;
	open_planted(); /* planted: leaked */
	planted_calls++;
}

static void uses_after_finish(void **state)
{
	(void)state;
	open_and_finish();
	ask("SELECT 2"); /* planted: used-after-finish */
	planted_calls++;
}

static void finishes_twice(void **state)
{
	(void)state;
	open_and_finish();
	finish_planted(); /* planted: finished-twice */
	planted_calls++;
}

static void leaves_a_transaction(void **state)
{
	(void)state;
	leave_transaction(); /* planted: transaction-left-open */
	planted_calls++;
}

static void forgets_a_failure(void **state)
{
	(void)state;
	fail_to_connect(); /* planted: failed-connect-never-finished */
	planted_calls++;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(clean), cmocka_unit_test(leaks),
	    cmocka_unit_test(uses_after_finish), cmocka_unit_test(finishes_twice),
	    cmocka_unit_test(leaves_a_transaction), cmocka_unit_test(forgets_a_failure)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
