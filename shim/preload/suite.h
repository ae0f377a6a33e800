/* Who is at work in the program. See suite.c. */
#ifndef SUITE_H
#define SUITE_H

/* Test and suite, as far as they are known; who told of the suite, or of the test alone. */
struct whose {
	const char *suite; /* NULL where the stack has to tell; else for the process's life */
	const char *test;  /* NULL where not known; valid until the framework goes on */
	const char *source;
};

/*
 * From the best source there is: the functions of pqleash.h; CUnit, Check, pytest or bats, asked
 * for what they are running; PQLEASH_SUITE. Any thread.
 */
struct whose suite_whose(void);

/* A name for messages: the suite, else the program's. Interned. */
const char *suite_now(void);

#endif
