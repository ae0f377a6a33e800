/* Who opened a session. See suite.c. */
#ifndef SUITE_H
#define SUITE_H

/*
 * The suite that is running now: announced, else PQLEASH_SUITE, else the program's name. Interned.
 */
const char *suite_now(void);

#endif
