/*
 * The check harness of the legacy tests: what a suite is, and the macros it checks with.
 *
 * A suite states how many checks it plans to make. A check that fails is printed and the suite
 * goes on; a REQUIRE that fails ends the suite, and everything it did not get to counts as failed.
 */
#ifndef LEGACY_HARNESS_H
#define LEGACY_HARNESS_H

#include <stdbool.h>
#include <libpq-fe.h>

struct suite {
	const char *name;
	int planned; /* checks */
	void (*run)(void);
};

/* A plain condition. */
#define CHECK(expr) harness_check(__FILE__, __LINE__, NULL, #expr, (expr))

/* A condition whose failure PQerrorMessage(conn) explains. */
#define CHECK_DB(conn, expr) harness_check(__FILE__, __LINE__, (conn), #expr, (expr))
#define REQUIRE_DB(conn, expr) harness_require(__FILE__, __LINE__, (conn), #expr, (expr))

/* The first value of a query; the query may be a printf format. */
#define CHECK_VALUE(conn, expected, ...) \
	harness_check_value(__FILE__, __LINE__, (conn), (expected), __VA_ARGS__)
#define CHECK_NUMBER(conn, expected, ...) \
	harness_check_number(__FILE__, __LINE__, (conn), (expected), __VA_ARGS__)

void harness_check(const char *file, int line, PGconn *conn, const char *text, bool ok);
void harness_require(const char *file, int line, PGconn *conn, const char *text, bool ok);
void harness_check_value(const char *file, int line, PGconn *conn, const char *expected,
    const char *format, ...) __attribute__((format(printf, 5, 6)));
void harness_check_number(const char *file, int line, PGconn *conn, long expected,
    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Runs one suite, prints its line, remembers the numbers. */
void harness_run(const struct suite *suite);

/* Prints the last line; the exit status of the program. */
int harness_summary(void);

#endif
