/*
 * The check harness: counts checks, prints those that fail, and ends a suite early when a
 * requirement fails. It knows nothing of what is tested; main.c hands it the suites.
 */
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "db.h"

static struct {
	int passed;
	int failed;
	jmp_buf bail_out;
} current;

static struct {
	int suites;
	int planned;
	int passed;
	bool miscounted;
} total;

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Starts the line of a failed check; report_reason() ends it. */
static void report_failure(const char *file, int line, const char *text)
{
	current.failed++;
	printf("%s:%d: check failed: %s", base_name(file), line, text);
}

static void report_reason(PGconn *conn)
{
	const char *message = conn ? PQerrorMessage(conn) : "";

	/* The first line of it is enough: one line for each failure. */
	if (message[0])
		printf(": %.*s", (int)strcspn(message, "\n"), message);
	putchar('\n');
}

void harness_check(const char *file, int line, PGconn *conn, const char *text, bool ok)
{
	if (ok) {
		current.passed++;
		return;
	}
	report_failure(file, line, text);
	report_reason(conn);
}

void harness_require(const char *file, int line, PGconn *conn, const char *text, bool ok)
{
	harness_check(file, line, conn, text, ok);
	if (!ok)
		longjmp(current.bail_out, 1);
}

static void compare(const char *file, int line, PGconn *conn, const char *expected, const char *sql)
{
	const char *got = db_value(conn, sql);

	if (got && strcmp(got, expected) == 0) {
		current.passed++;
		return;
	}
	report_failure(file, line, sql);
	if (got)
		printf(": expected \"%s\", got \"%s\"\n", expected, got);
	else
		report_reason(conn);
}

void harness_check_value(
    const char *file, int line, PGconn *conn, const char *expected, const char *format, ...)
{
	char sql[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(sql, sizeof(sql), format, args);
	va_end(args);
	compare(file, line, conn, expected, sql);
}

void harness_check_number(
    const char *file, int line, PGconn *conn, long expected, const char *format, ...)
{
	char sql[1024];
	char number[32];
	va_list args;

	va_start(args, format);
	vsnprintf(sql, sizeof(sql), format, args);
	va_end(args);
	snprintf(number, sizeof(number), "%ld", expected);
	compare(file, line, conn, number, sql);
}

/* A suite that ran to its end made exactly the checks it planned. */
static void compare_with_plan(const struct suite *suite)
{
	int made = current.passed + current.failed;

	if (made == suite->planned)
		return;
	total.miscounted = true;
	printf("%s: %d checks planned, %d made\n", suite->name, suite->planned, made);
}

void harness_run(const struct suite *suite)
{
	current.passed = 0;
	current.failed = 0;
	if (setjmp(current.bail_out) == 0) {
		suite->run();
		compare_with_plan(suite);
	}
	printf("%-16s %3d/%d\n", suite->name, current.passed, suite->planned);
	total.suites++;
	total.planned += suite->planned;
	total.passed += current.passed;
}

int harness_summary(void)
{
	printf("legacy: %d of %d checks passed in %d suite%s\n", total.passed, total.planned,
	    total.suites, total.suites == 1 ? "" : "s");
	return total.passed == total.planned && !total.miscounted ? 0 : 1;
}
