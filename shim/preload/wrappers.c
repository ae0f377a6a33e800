/*
 * The wrappers that need no thought of their own, made from the libpq table: anything that is not a
 * session goes straight through, because libpq calls its own exported functions through the PLT
 * (PQexec calls PQgetResult, lo_open calls PQfn) and enters here with real connections. The others
 * are in wrap_connect.c, wrap_client.c and cancel.c.
 */
#include "session.h"
#include "statement.h"

#include <string.h>

#define PASS_THROUGH(name, arguments) \
	if (!is_session(conn)) \
	return REAL(name) arguments

/* What libpq keeps for a connection's life must keep its address, too. */
#define LIBPQ_KEPT(result, name, parameters, arguments, field) \
	result wrap_##name parameters \
	{ \
		PASS_THROUGH(name, arguments); \
		SESSION_CALL(conn, CALL_STATE); \
		if (session->identity) \
			return session->identity->field; \
		conn = session->conn; \
		return REAL(name) arguments; \
	}

#define LIBPQ_STATE(result, name, parameters, arguments, value) \
	result wrap_##name parameters \
	{ \
		PASS_THROUGH(name, arguments); \
		SESSION_CALL(conn, CALL_STATE); \
		if (!session->conn) \
			return value; \
		conn = session->conn; \
		return REAL(name) arguments; \
	}

#define ATTACHED(kind, name, parameters, arguments, ...) \
	{ \
		PASS_THROUGH(name, arguments); \
		SESSION_CALL(conn, kind); \
		__VA_ARGS__ \
		conn = session->conn; \
		return REAL(name) arguments; \
	}

#define LIBPQ_USE(result, name, parameters, arguments, extra) \
	result wrap_##name parameters ATTACHED(CALL_USE, name, parameters, arguments)
#define LIBPQ_ASK(result, name, parameters, arguments, extra) \
	result wrap_##name parameters ATTACHED(CALL_ASK, name, parameters, arguments, extra)
#define LIBPQ_SEND(result, name, parameters, arguments, extra) \
	result wrap_##name parameters ATTACHED( \
	    CALL_USE, name, parameters, arguments, session->unnamed_statement = false; \
	    statement_sent(session, query);)

#define LIBPQ_OWN(result, name, parameters, arguments, extra)
#define LIBPQ_CALL(result, name, parameters, arguments, extra)
#define LIBPQ(kind, ...) LIBPQ_##kind(__VA_ARGS__)
#include "libpq_table.h"

/*
 * PQprepare's unnamed statement is in no catalog: a session that may still execute one cannot move.
 * PQexec and PQexecParams overwrite it; preparing one that has a name does not.
 */
static void note_unnamed_statement(struct session *session, const char *statement)
{
	if (!statement || !statement[0])
		session->unnamed_statement = true;
}

PGresult *wrap_PQprepare(
    PGconn *conn, const char *statement, const char *query, int nParams, const Oid *paramTypes)
{
	PASS_THROUGH(PQprepare, (conn, statement, query, nParams, paramTypes));
	SESSION_CALL(conn, CALL_USE);
	note_unnamed_statement(session, statement);
	statement_sent(session, query);
	return REAL(PQprepare)(session->conn, statement, query, nParams, paramTypes);
}

int wrap_PQsendPrepare(
    PGconn *conn, const char *statement, const char *query, int nParams, const Oid *paramTypes)
{
	PASS_THROUGH(PQsendPrepare, (conn, statement, query, nParams, paramTypes));
	SESSION_CALL(conn, CALL_USE);
	note_unnamed_statement(session, statement);
	statement_sent(session, query);
	return REAL(PQsendPrepare)(session->conn, statement, query, nParams, paramTypes);
}
