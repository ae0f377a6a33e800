/*
 * The wrappers of what lives on the client's side of a connection: messages, notice functions,
 * verbosity, tracing, events, descriptors, pids. These follow the session from backend to backend,
 * or pin it where they cannot.
 */
#include "backend.h"
#include "descriptor.h"
#include "session.h"
#include "status.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

/* A copy: the program may look at it while its backend is at work for another session. */
char *wrap_PQerrorMessage(const PGconn *conn)
{
	PASS_THROUGH(PQerrorMessage, (conn));
	SESSION_CALL(conn, CALL_STATE);
	char *message = session_error(session);
	if (!message)
		return (char *)"";
	if (message == session_no_memory)
		return message;
	if (session->shown && strcmp(session->shown, message) == 0)
		text_wipe(message);
	else {
		text_wipe(session->shown);
		session->shown = message;
	}
	return session->shown;
}

const char *wrap_PQparameterStatus(const PGconn *conn, const char *paramName)
{
	PASS_THROUGH(PQparameterStatus, (conn, paramName));
	SESSION_CALL(conn, CALL_STATE);
	const char *value = NULL;
	if (!session->conn && session_give_status(session, paramName, &value))
		return value;
	if (!session_visits(&call_))
		session_prepare(session, CALL_ASK);
	return session->conn ? statuses_give_from(&session->given, session->conn, paramName) : NULL;
}

/* Kept for the session's life as other facts are, but not known before it is connected. */
int wrap_PQserverVersion(const PGconn *conn)
{
	PASS_THROUGH(PQserverVersion, (conn));
	SESSION_CALL(conn, CALL_STATE);
	if (session->identity && session->state != SESSION_STARTING)
		return session->identity->server_version;
	return session->conn ? REAL(PQserverVersion)(session->conn) : 0;
}

int wrap_PQsocket(const PGconn *conn)
{
	PASS_THROUGH(PQsocket, (conn));
	SESSION_CALL(conn, CALL_STATE);
	if (!session_visits(&call_))
		session_try_attach(session);
	return descriptor_of(session);
}

/* A pid is for killing or watching: the session stays with it. */
int wrap_PQbackendPID(const PGconn *conn)
{
	PASS_THROUGH(PQbackendPID, (conn));
	SESSION_CALL(conn, CALL_ASK);
	if (session->state == SESSION_OPEN)
		session_pin(session, "has told the program its backend's pid");
	return REAL(PQbackendPID)(session->conn);
}

PGVerbosity wrap_PQsetErrorVerbosity(PGconn *conn, PGVerbosity verbosity)
{
	PASS_THROUGH(PQsetErrorVerbosity, (conn, verbosity));
	SESSION_CALL(conn, CALL_STATE);
	struct client_settings *client = &session->client;
	PGVerbosity old = client->has_verbosity ? client->verbosity : PQERRORS_DEFAULT;
	client->verbosity = verbosity;
	client->has_verbosity = true;
	if (session->conn)
		REAL(PQsetErrorVerbosity)(session->conn, verbosity);
	return old;
}

PGContextVisibility wrap_PQsetErrorContextVisibility(PGconn *conn, PGContextVisibility show_context)
{
	PASS_THROUGH(PQsetErrorContextVisibility, (conn, show_context));
	SESSION_CALL(conn, CALL_STATE);
	struct client_settings *client = &session->client;
	PGContextVisibility old = client->has_context ? client->context : PQSHOW_CONTEXT_ERRORS;
	client->context = show_context;
	client->has_context = true;
	if (session->conn)
		REAL(PQsetErrorContextVisibility)(session->conn, show_context);
	return old;
}

/* NULL asks without setting, as in libpq. */
PQnoticeReceiver wrap_PQsetNoticeReceiver(PGconn *conn, PQnoticeReceiver proc, void *arg)
{
	PASS_THROUGH(PQsetNoticeReceiver, (conn, proc, arg));
	SESSION_CALL(conn, CALL_STATE);
	struct client_settings *client = &session->client;
	if (!session->target || session->state == SESSION_FAILED)
		return REAL(PQsetNoticeReceiver)(session->conn, proc, arg);
	PQnoticeReceiver old =
	    client->has_receiver ? client->receiver : backend_defaults()->receiver;
	if (proc) {
		client->receiver = proc;
		client->receiver_argument = arg;
		client->has_receiver = true;
		if (session->conn)
			REAL(PQsetNoticeReceiver)(session->conn, proc, arg);
	}
	return old;
}

PQnoticeProcessor wrap_PQsetNoticeProcessor(PGconn *conn, PQnoticeProcessor proc, void *arg)
{
	PASS_THROUGH(PQsetNoticeProcessor, (conn, proc, arg));
	SESSION_CALL(conn, CALL_STATE);
	struct client_settings *client = &session->client;
	if (!session->target || session->state == SESSION_FAILED)
		return REAL(PQsetNoticeProcessor)(session->conn, proc, arg);
	PQnoticeProcessor old =
	    client->has_processor ? client->processor : backend_defaults()->processor;
	if (proc) {
		client->processor = proc;
		client->processor_argument = arg;
		client->has_processor = true;
		if (session->conn)
			REAL(PQsetNoticeProcessor)(session->conn, proc, arg);
	}
	return old;
}

int wrap_PQsetnonblocking(PGconn *conn, int arg)
{
	PASS_THROUGH(PQsetnonblocking, (conn, arg));
	SESSION_CALL(conn, CALL_STATE);
	int failed = session->conn ? REAL(PQsetnonblocking)(session->conn, arg) : 0;
	if (failed == 0 && (session->state == SESSION_OPEN || session->state == SESSION_STARTING))
		session->client.nonblocking = arg != 0;
	return failed;
}

int wrap_PQisnonblocking(const PGconn *conn)
{
	PASS_THROUGH(PQisnonblocking, (conn));
	SESSION_CALL(conn, CALL_STATE);
	return session->conn ? REAL(PQisnonblocking)(session->conn) : session->client.nonblocking;
}

PGnotify *wrap_PQnotifies(PGconn *conn)
{
	PASS_THROUGH(PQnotifies, (conn));
	SESSION_CALL(conn, CALL_STATE);
	PGnotify *first = session->notifies;
	if (!first)
		return session->conn ? REAL(PQnotifies)(session->conn) : NULL;
	session->notifies = first->next;
	first->next = NULL;
	return first;
}

/*
 * A trace is of one connection from first to last: its backend is nobody else's before it is
 * closed.
 */
static PGconn *traced(struct session *session)
{
	if (session->backend)
		session->backend->tracing = true;
	return session->conn;
}

void wrap_PQtrace(PGconn *conn, FILE *debug_port)
{
	PASS_THROUGH(PQtrace, (conn, debug_port));
	SESSION_CALL(conn, CALL_ASK);
	REAL(PQtrace)(traced(session), debug_port);
}

void wrap_PQsetTraceFlags(PGconn *conn, int flags)
{
	PASS_THROUGH(PQsetTraceFlags, (conn, flags));
	SESSION_CALL(conn, CALL_ASK);
	REAL(PQsetTraceFlags)(traced(session), flags);
}

void wrap_PQuntrace(PGconn *conn)
{
	PASS_THROUGH(PQuntrace, (conn));
	SESSION_CALL(conn, CALL_STATE);
	if (session->backend)
		session->backend->tracing = false;
	if (session->conn)
		REAL(PQuntrace)(session->conn);
}

/* What is handed out here is of one connection's encryption: the session stays with it. */
static PGconn *encryption_of(struct session *session)
{
	if (session->state == SESSION_OPEN)
		session_pin(session, "has told the program its encryption's internals");
	return session->conn;
}

void *wrap_PQsslStruct(PGconn *conn, const char *struct_name)
{
	PASS_THROUGH(PQsslStruct, (conn, struct_name));
	SESSION_CALL(conn, CALL_ASK);
	return REAL(PQsslStruct)(encryption_of(session), struct_name);
}

void *wrap_PQgetssl(PGconn *conn)
{
	PASS_THROUGH(PQgetssl, (conn));
	SESSION_CALL(conn, CALL_ASK);
	return REAL(PQgetssl)(encryption_of(session));
}

void *wrap_PQgetgssctx(PGconn *conn)
{
	PASS_THROUGH(PQgetgssctx, (conn));
	SESSION_CALL(conn, CALL_ASK);
	return REAL(PQgetgssctx)(encryption_of(session));
}

/* Connected for libpq, but not before our own first question is answered. */
static __attribute__((noinline)) ConnStatusType enter_status(const PGconn *conn)
{
	SESSION_CALL(conn, CALL_STATE);
	if (!session->conn)
		return session->state == SESSION_STARTING ? CONNECTION_STARTED : CONNECTION_OK;
	if (session->state == SESSION_STARTING && session->backend && session->backend->asking)
		return CONNECTION_AUTH_OK;
	return REAL(PQstatus)(session->conn);
}

ConnStatusType wrap_PQstatus(const PGconn *conn)
{
	PASS_THROUGH(PQstatus, (conn));
	struct session *session = (struct session *)conn;
	return session_is_plain(session) ? KNOWN(PQstatus)(session->conn) : enter_status(conn);
}
