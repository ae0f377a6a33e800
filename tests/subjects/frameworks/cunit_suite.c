/* A CUnit registry with two suites, whose every test leaks a connection. */
#include "leaky.h"

#include <CUnit/Basic.h>
#include <stdio.h>

static void leaks(void)
{
	CU_ASSERT_TRUE_FATAL(leak_one());
	CU_ASSERT_TRUE(all_as_left());
}

static void add_suite(const char *name)
{
	CU_pSuite suite = CU_add_suite(name, NULL, NULL);

	for (int i = 0; i < LEAKING_TESTS / 2; i++) {
		char test[32];

		snprintf(test, sizeof test, "leaks %d", i);
		CU_add_test(suite, test, leaks);
	}
}

int main(void)
{
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 2;
	add_suite("first");
	add_suite("second");
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	unsigned int failures = CU_get_number_of_failures();
	CU_cleanup_registry();
	return failures != 0;
}
