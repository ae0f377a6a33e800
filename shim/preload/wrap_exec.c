/*
 * The wrappers of the commands that return their result. A PQcancel may come while one waits for its
 * session's backend: then it is cancelled as soon as the server has it.
 */
#include "backend.h"
#include "command.h"
#include "process.h"
#include "session.h"
#include "statement.h"

/*
 * A cancel that is there before the server has begun with the statement does nothing, and was meant
 * for just this one: so it is sent again, for as long as a busy server may take to begin.
 */
static void cancel_until_it_ends(PGconn *conn)
{
	for (int pause_ms = 20; pause_ms < 1000; pause_ms *= 2) {
		REAL(PQrequestCancel)(conn);
		if (backend_wait_for_result(conn, process_clock_ms() + pause_ms))
			return;
	}
}

/* As PQexec does it, to the last result or the beginning of a COPY, with the cancel right behind. */
static PGresult *execute_and_cancel(PGconn *conn, const struct command *command)
{
	PGresult *last = NULL, *next;

	if (!command_send(command, conn))
		return NULL;
	cancel_until_it_ends(conn);
	while ((next = REAL(PQgetResult)(conn))) {
		ExecStatusType status = REAL(PQresultStatus)(next);

		REAL(PQclear)(last);
		last = next;
		if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT ||
		    status == PGRES_COPY_BOTH || REAL(PQstatus)(conn) == CONNECTION_BAD)
			break;
	}
	return last;
}

/* Declares `session`, ready for the command; returns at once with the result of a cancelled one. */
#define EXECUTE(conn_, ...) \
	const struct command command = {__VA_ARGS__}; \
	SESSION_CALL(conn_, CALL_EXECUTE); \
	if (command.query) \
		session->unnamed_statement = false; \
	statement_sent(session, command.query, false); \
	if (session->cancelled) { \
		session->cancelled = false; \
		return execute_and_cancel(session->conn, &command); \
	}

PGresult *wrap_PQexec(PGconn *conn, const char *query)
{
	PASS_THROUGH(PQexec, (conn, query));
	EXECUTE(conn, .kind = COMMAND_QUERY, .query = query);
	return REAL(PQexec)(session->conn, query);
}

PGresult *wrap_PQexecParams(PGconn *conn, const char *query, int nParams, const Oid *paramTypes,
    const char *const *paramValues, const int *paramLengths, const int *paramFormats,
    int resultFormat)
{
	PASS_THROUGH(PQexecParams, (conn, query, nParams, paramTypes, paramValues, paramLengths,
				       paramFormats, resultFormat));
	EXECUTE(conn, COMMAND_QUERY_PARAMS, query, NULL, nParams, paramTypes, paramValues,
	    paramLengths, paramFormats, resultFormat);
	return REAL(PQexecParams)(session->conn, query, nParams, paramTypes, paramValues,
	    paramLengths, paramFormats, resultFormat);
}

PGresult *wrap_PQexecPrepared(PGconn *conn, const char *statement, int nParams,
    const char *const *paramValues, const int *paramLengths, const int *paramFormats,
    int resultFormat)
{
	PASS_THROUGH(PQexecPrepared,
	    (conn, statement, nParams, paramValues, paramLengths, paramFormats, resultFormat));
	EXECUTE(conn, COMMAND_QUERY_PREPARED, NULL, statement, nParams, NULL, paramValues,
	    paramLengths, paramFormats, resultFormat);
	return REAL(PQexecPrepared)(session->conn, statement, nParams, paramValues, paramLengths,
	    paramFormats, resultFormat);
}

PGresult *wrap_PQprepare(
    PGconn *conn, const char *statement, const char *query, int nParams, const Oid *paramTypes)
{
	PASS_THROUGH(PQprepare, (conn, statement, query, nParams, paramTypes));
	SESSION_CALL(conn, CALL_USE);
	session_note_prepared(session, statement);
	statement_sent(session, query, true);
	return REAL(PQprepare)(session->conn, statement, query, nParams, paramTypes);
}
