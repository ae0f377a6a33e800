/*
 * Database helpers for the suites. Owns the one shared connection; never closes a connection,
 * not even that one: whoever opened it knows best when to close it.
 */
#include "db.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static PGconn *shared;

PGconn *db_open(void)
{
	return PQconnectdb("");
}

PGconn *db_shared(void)
{
	if (!shared)
		shared = db_open();
	return shared;
}

bool db_ok(PGconn *conn)
{
	return PQstatus(conn) == CONNECTION_OK;
}

/* NULL over a bad connection: its error message still says why it is bad. */
static PGresult *run_query(PGconn *conn, const char *sql)
{
	return db_ok(conn) ? PQexec(conn, sql) : NULL;
}

bool db_exec(PGconn *conn, const char *sql)
{
	PGresult *result = run_query(conn, sql);
	ExecStatusType status = PQresultStatus(result);

	PQclear(result);
	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

bool db_execf(PGconn *conn, const char *format, ...)
{
	char sql[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(sql, sizeof(sql), format, args);
	va_end(args);
	return db_exec(conn, sql);
}

bool db_fails(PGconn *conn, const char *sqlstate, const char *sql)
{
	PGresult *result = run_query(conn, sql);
	const char *got = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	bool as_expected = got && strcmp(got, sqlstate) == 0;

	PQclear(result);
	return as_expected;
}

const char *db_value(PGconn *conn, const char *sql)
{
	static char value[256];
	PGresult *result = run_query(conn, sql);
	const char *found = NULL;

	if (PQresultStatus(result) == PGRES_TUPLES_OK) {
		if (PQntuples(result) == 0)
			found = "(no rows)";
		else if (PQgetisnull(result, 0, 0))
			found = "(null)";
		else
			found = PQgetvalue(result, 0, 0);
		snprintf(value, sizeof(value), "%s", found);
	}
	PQclear(result);
	return found ? value : NULL;
}

static void ignore_notice(void *arg, const char *message)
{
	(void)arg;
	(void)message;
}

bool db_schema(PGconn *conn, const char *schema, const char *ddl)
{
	char sql[4096];
	PQnoticeProcessor before;
	bool ok;

	if (!db_ok(conn))
		return false;
	snprintf(sql, sizeof(sql), "DROP SCHEMA IF EXISTS %s CASCADE; CREATE SCHEMA %s; %s", schema,
	    schema, ddl);
	/* "drop cascades to ..." would differ between the first run and the second. */
	before = PQsetNoticeProcessor(conn, ignore_notice, NULL);
	ok = db_exec(conn, sql);
	PQsetNoticeProcessor(conn, before, NULL);
	return ok;
}
