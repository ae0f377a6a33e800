/*
 * The wrappers of PQsendQuery and its family, and of what a program then calls until it has the
 * results. A program that uses these must not be made to wait here: without a backend to be had at
 * once, the command is kept, the session's descriptor becomes readable when there is one, and the
 * calls below send it.
 */
#include "command.h"
#include "session.h"
#include "statement.h"

#include <string.h>

static int send_or_keep(PGconn *conn, const struct command *command)
{
	SESSION_CALL(conn, CALL_SEND);
	if (command->kind == COMMAND_PREPARE)
		session_note_prepared(session, command->name);
	else if (command->kind == COMMAND_QUERY || command->kind == COMMAND_QUERY_PARAMS)
		session->unnamed_statement = false;
	if (session->state == SESSION_OPEN && !session->backend)
		return session_postpone(session, command);
	statement_sent(session, command->query, command->kind == COMMAND_PREPARE);
	return command_send(command, session->conn);
}

int wrap_PQsendQuery(PGconn *conn, const char *query)
{
	PASS_THROUGH(PQsendQuery, (conn, query));
	return send_or_keep(conn, &(struct command){.kind = COMMAND_QUERY, .query = query});
}

int wrap_PQsendQueryParams(PGconn *conn, const char *query, int nParams, const Oid *paramTypes,
    const char *const *paramValues, const int *paramLengths, const int *paramFormats,
    int resultFormat)
{
	PASS_THROUGH(PQsendQueryParams, (conn, query, nParams, paramTypes, paramValues,
					    paramLengths, paramFormats, resultFormat));
	return send_or_keep(
	    conn, &(struct command){COMMAND_QUERY_PARAMS, query, NULL, nParams, paramTypes,
		      paramValues, paramLengths, paramFormats, resultFormat});
}

int wrap_PQsendPrepare(
    PGconn *conn, const char *statement, const char *query, int nParams, const Oid *paramTypes)
{
	PASS_THROUGH(PQsendPrepare, (conn, statement, query, nParams, paramTypes));
	return send_or_keep(conn, &(struct command){.kind = COMMAND_PREPARE,
				      .query = query,
				      .name = statement,
				      .count = nParams,
				      .types = paramTypes});
}

int wrap_PQsendQueryPrepared(PGconn *conn, const char *statement, int nParams,
    const char *const *paramValues, const int *paramLengths, const int *paramFormats,
    int resultFormat)
{
	PASS_THROUGH(PQsendQueryPrepared,
	    (conn, statement, nParams, paramValues, paramLengths, paramFormats, resultFormat));
	return send_or_keep(
	    conn, &(struct command){COMMAND_QUERY_PREPARED, NULL, statement, nParams, NULL,
		      paramValues, paramLengths, paramFormats, resultFormat});
}

#define SEND_NAME(function, kind_) \
	int wrap_##function(PGconn *conn, const char *name) \
	{ \
		PASS_THROUGH(function, (conn, name)); \
		return send_or_keep(conn, &(struct command){.kind = kind_, .name = name}); \
	}
SEND_NAME(PQsendDescribePrepared, COMMAND_DESCRIBE_PREPARED)
SEND_NAME(PQsendDescribePortal, COMMAND_DESCRIBE_PORTAL)
SEND_NAME(PQsendClosePrepared, COMMAND_CLOSE_PREPARED)
SEND_NAME(PQsendClosePortal, COMMAND_CLOSE_PORTAL)

/* These look whether a kept command can be sent by now. */
int wrap_PQisBusy(PGconn *conn)
{
	PASS_THROUGH(PQisBusy, (conn));
	SESSION_CALL(conn, CALL_POLL);
	return session->conn ? REAL(PQisBusy)(session->conn) : session->kept != NULL;
}

int wrap_PQconsumeInput(PGconn *conn)
{
	PASS_THROUGH(PQconsumeInput, (conn));
	SESSION_CALL(conn, CALL_POLL);
	return session->conn ? REAL(PQconsumeInput)(session->conn) : 1;
}

int wrap_PQflush(PGconn *conn)
{
	PASS_THROUGH(PQflush, (conn));
	SESSION_CALL(conn, CALL_POLL);
	return session->conn ? REAL(PQflush)(session->conn) : 0;
}

/* This one waits, as libpq's does. A command for which there was no backend has failed. */
static __attribute__((noinline)) PGresult *get_result(PGconn *conn)
{
	SESSION_CALL(conn, ((const struct session *)conn)->kept ? CALL_ASK : CALL_STATE);
	if (session->kept && session->state != SESSION_OPEN) {
		command_free(session->kept);
		session->kept = NULL;
		return REAL(PQmakeEmptyPGresult)(NULL, PGRES_FATAL_ERROR);
	}
	return session->conn ? REAL(PQgetResult)(session->conn) : NULL;
}

/* Called for every row in single-row mode. */
PGresult *wrap_PQgetResult(PGconn *conn)
{
	PASS_THROUGH(PQgetResult, (conn));
	struct session *session = (struct session *)conn;
	bool silent = !session->client.has_receiver && !session->client.has_processor;
	return silent && session_is_plain(session) ? KNOWN(PQgetResult)(session->conn)
						   : get_result(conn);
}

/* Kept with the command, to be set once it is sent. */
int wrap_PQsetSingleRowMode(PGconn *conn)
{
	PASS_THROUGH(PQsetSingleRowMode, (conn));
	SESSION_CALL(conn, CALL_STATE);
	if (session->conn)
		return REAL(PQsetSingleRowMode)(session->conn);
	session->rows_at_a_time = session->kept ? 1 : 0;
	return session->kept != NULL;
}

int wrap_PQsetChunkedRowsMode(PGconn *conn, int chunkSize)
{
	PASS_THROUGH(PQsetChunkedRowsMode, (conn, chunkSize));
	SESSION_CALL(conn, CALL_STATE);
	if (session->conn)
		return REAL(PQsetChunkedRowsMode)(session->conn, chunkSize);
	if (!session->kept || chunkSize <= 0)
		return 0;
	session->rows_at_a_time = -chunkSize;
	return 1;
}
