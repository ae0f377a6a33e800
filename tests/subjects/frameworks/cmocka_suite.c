/* A cmocka suite whose every test leaks a connection. */
#include "leaky.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void leaks(void **state)
{
	(void)state;
	assert_true(leak_one());
	assert_true(all_as_left());
}

int main(void)
{
	struct CMUnitTest tests[LEAKING_TESTS];

	for (int i = 0; i < LEAKING_TESTS; i++)
		tests[i] = (struct CMUnitTest)cmocka_unit_test(leaks);
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
