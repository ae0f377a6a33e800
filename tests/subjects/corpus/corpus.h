/*
 * What the programs of the corpus share: sessions of the database that PG* names, and everything
 * that libpq answers told on stdout. Nothing is told that the server makes up anew in every run
 * (pids, oids).
 */
#ifndef CORPUS_H
#define CORPUS_H

#include <libpq-events.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* All of a program whose functions this libpq does not have: how it ends tells that. */
#define NOT_IN_THIS_LIBPQ \
	int main(void) \
	{ \
		return 77; \
	}

/* What may be NULL, as text. */
static inline const char *text(const char *value)
{
	return value ? value : "(null)";
}

static inline const char *transaction_name(PGTransactionStatusType status)
{
	static const char *const names[] = {"idle", "active", "in transaction", "in error", "?"};

	return names[status];
}

/* One line about a connection. */
static inline void show_state(const char *who, PGconn *conn)
{
	printf("%s: %s, %s, pipeline %d, error \"%s\"\n", who,
	    PQstatus(conn) == CONNECTION_OK ? "connected" : "not connected",
	    transaction_name(PQtransactionStatus(conn)), (int)PQpipelineStatus(conn),
	    text(PQerrorMessage(conn)));
}

/* What a function answered, and only then what the session says of it. */
static inline void show_answer(const char *what, long long value, const PGconn *conn)
{
	printf("%s %lld: %s", what, value, PQerrorMessage(conn));
}

static inline void show_error(const char *who, const PGresult *result)
{
	printf("%s: %s %s %s", who, PQresStatus(PQresultStatus(result)),
	    text(PQresultErrorField(result, PG_DIAG_SQLSTATE)), PQresultErrorMessage(result));
}

/* Everything in a result. */
static inline void show_result(const char *who, const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	if (!result) {
		printf("%s: no result\n", who);
		return;
	}
	if (PQresultErrorMessage(result)[0]) {
		show_error(who, result);
		return;
	}
	printf("%s: %s \"%s\" affected \"%s\", %d parameters", who, PQresStatus(status),
	    PQcmdStatus((PGresult *)result), PQcmdTuples((PGresult *)result), PQnparams(result));
	for (int column = 0; column < PQnfields(result); column++)
		printf(" [%s %u/%d %s]", PQfname(result, column), PQftype(result, column),
		    PQfmod(result, column), PQfformat(result, column) ? "binary" : "text");
	putchar('\n');
	for (int row = 0; row < PQntuples(result); row++) {
		for (int column = 0; column < PQnfields(result); column++)
			printf("%s%s", column ? " | " : "    ",
			    PQgetisnull(result, row, column) ? "(null)"
			    : PQfformat(result, column)      ? "(binary)"
							     : PQgetvalue(result, row, column));
		putchar('\n');
	}
}

/* The same, and the result is cleared. */
static inline void show(const char *who, PGresult *result)
{
	show_result(who, result);
	PQclear(result);
}

static inline void run(const char *who, PGconn *conn, const char *query)
{
	show(who, PQexec(conn, query));
}

/* One more command of a pipeline. */
static inline void add(PGconn *conn, const char *query)
{
	if (!PQsendQueryParams(conn, query, 0, NULL, NULL, NULL, NULL, 0))
		printf("%s: %s", query, PQerrorMessage(conn));
}

/* All results of what was sent. */
static inline void drain(const char *who, PGconn *conn)
{
	PGresult *result;

	while ((result = PQgetResult(conn)))
		show(who, result);
	printf("%s: no more results\n", who);
}

static inline PGconn *open_session(const char *conninfo)
{
	PGconn *conn = PQconnectdb(conninfo);

	if (PQstatus(conn) == CONNECTION_OK)
		return conn;
	printf("no connection: %s", PQerrorMessage(conn));
	exit(1);
}

/* So many sessions, and a name for each: a, b, c. */
static inline void open_sessions(PGconn **conns, int count)
{
	for (int i = 0; i < count; i++)
		conns[i] = open_session("");
}

static inline const char *name_of(int number)
{
	static const char names[][2] = {"a", "b", "c", "d", "e", "f", "g", "h"};

	return names[number];
}

static inline void finish_sessions(PGconn **conns, int count)
{
	for (int i = 0; i < count; i++)
		PQfinish(conns[i]);
}

/* An empty schema and no large objects, then these statements; it is not said what they answer. */
static inline void prepare_database(const char *statements)
{
	PGconn *conn = open_session("");
	static const char empty[] =
	    "SET client_min_messages = error; DROP SCHEMA IF EXISTS public CASCADE;"
	    "CREATE SCHEMA public; SELECT lo_unlink(oid) FROM pg_largeobject_metadata";

	PQclear(PQexec(conn, empty));
	PGresult *result = PQexec(conn, statements);
	if (PQresultStatus(result) == PGRES_FATAL_ERROR)
		show_result("prepare", result);
	PQclear(result);
	PQfinish(conn);
}

/* Wait until the server has said something to the session. */
static inline void wait_for_input(PGconn *conn)
{
	struct pollfd descriptor = {.fd = PQsocket(conn), .events = POLLIN};

	poll(&descriptor, 1, 10000);
}

static inline void say_nothing(void *argument, const char *message)
{
	(void)argument;
	(void)message;
}

/* Of one whose statements are cancelled: where in its function one is by then is chance. */
static inline void hush(PGconn *conn)
{
	PQsetNoticeProcessor(conn, say_nothing, NULL);
	PQsetErrorContextVisibility(conn, PQSHOW_CONTEXT_NEVER);
}

/* The server tells when it works on the statement, so it is never cancelled in vain. */
static inline void begin_sleep(const char *who, PGconn *conn)
{
	static const char sleep_long[] =
	    "DO $$ BEGIN RAISE NOTICE 'begun'; PERFORM pg_sleep(20); END $$";
	int sent = PQsendQuery(conn, sleep_long);

	printf("%s: sent %d\n", who, sent);
	if (!sent)
		exit(1);
	wait_for_input(conn);
}

#endif
