/* Planted misuses in two CUnit suites; the comments tell the test what is at fault. */
#include <CUnit/Basic.h>

#include "planted.h"

static PGconn *long_lived;

static void clean(void)
{
	open_and_finish();
	CU_ASSERT(planted != NULL);
}

static void leaks(void)
{
	open_planted(); /* planted: leaked */
	CU_ASSERT(planted != NULL);
}

static void uses_after_finish(void)
{
	open_and_finish();
	ask("SELECT 2"); /* planted: used-after-finish */
	CU_ASSERT(planted != NULL);
}

static void finishes_twice(void)
{
	open_and_finish();
	finish_planted(); /* planted: finished-twice */
	CU_ASSERT(planted != NULL);
}

static void leaves_a_transaction(void)
{
	leave_transaction(); /* planted: transaction-left-open */
	CU_ASSERT(planted != NULL);
}

static void opens_for_others(void)
{
	long_lived = PQconnectdb(""); /* planted: outlived-its-suite */
	CU_ASSERT(PQstatus(long_lived) == CONNECTION_OK);
}

static void finishes_what_others_opened(void)
{
	PQfinish(long_lived);
	CU_ASSERT(planted != NULL);
}

int main(void)
{
	CU_initialize_registry();
	CU_pSuite first = CU_add_suite("first", NULL, NULL);
	CU_pSuite second = CU_add_suite("second", NULL, NULL);
	CU_add_test(first, "clean", clean);
	CU_add_test(first, "leaks", leaks);
	CU_add_test(first, "opens for others", opens_for_others);
	CU_add_test(second, "uses after finish", uses_after_finish);
	CU_add_test(second, "finishes twice", finishes_twice);
	CU_add_test(second, "leaves a transaction", leaves_a_transaction);
	CU_add_test(second, "finishes what others opened", finishes_what_others_opened);
	CU_basic_run_tests();
	unsigned failures = CU_get_number_of_failures();
	CU_cleanup_registry();
	return failures != 0;
}
