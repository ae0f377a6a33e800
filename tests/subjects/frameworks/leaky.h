/*
 * What the three suites have in common: a connection that nobody ever finishes, with a state of its
 * own.
 */
#ifndef LEAKY_H
#define LEAKY_H

#include <libpq-fe.h>
#include <stdbool.h>

#define LEAKING_TESTS 24

/* Opens one more, and gives it a state; false, with a line on stderr, when the server refuses. */
bool leak_one(void);

/* Whether each that was opened in this process or before a fork has its state still. */
bool all_as_left(void);

/* Whether a statement succeeds on the connection; says on stderr what fails. */
bool runs(PGconn *conn, const char *sql);

/* The only value of a query, in one buffer that the next call overwrites; "" when it fails. */
const char *value_of(PGconn *conn, const char *sql);

#endif
