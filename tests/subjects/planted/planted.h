/*
 * Misuses of libpq that the report has to name, one function for each, and one without. They are
 * called from test suites of several frameworks; the line that is at fault is the caller's.
 */
#ifndef PLANTED_H
#define PLANTED_H

#include <libpq-fe.h>
#include <stddef.h>

static PGconn *planted;
static int planted_calls; /* counted behind each call, so that none is the last of its function */

static inline void ask(const char *sql)
{
	PQclear(PQexec(planted, sql));
	planted_calls++;
}

static inline void open_planted(void)
{
	planted = PQconnectdb("");
	planted_calls++;
	ask("SELECT 1");
}

static inline void finish_planted(void)
{
	PQfinish(planted);
	planted_calls++;
}

static inline void open_and_finish(void)
{
	open_planted();
	finish_planted();
}

static inline void leave_transaction(void)
{
	open_planted();
	ask("BEGIN");
	finish_planted();
}

static inline void fail_to_connect(void)
{
	planted = PQconnectdb("dbname=there_is_none");
	planted_calls++;
}

#endif
