/* What the test framework in the program is running. See framework.c. */
#ifndef FRAMEWORK_H
#define FRAMEWORK_H

#include <stddef.h>

/* Of the framework that is running a test now; NULL for what it does not tell. Any thread. */
struct framework_test {
	const char *suite, *test;
	size_t suite_length, test_length; /* their texts are not ended by a zero */
	const char *source;               /* "cunit", "check", "pytest", "bats"; NULL: none */
};
struct framework_test framework_now(void);

#endif
