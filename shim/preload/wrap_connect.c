/*
 * The wrappers of the functions that make, reset and end connections, and of those that take
 * connection strings. They are also entered from inside libpq, which calls PQconnectStart for
 * PQconnectdb and PQping: there libpq must get its own (session_leashed says no).
 */
#include "pool.h"
#include "process.h"
#include "say.h"
#include "session.h"
#include "settings.h"
#include "text.h"
#include "trace.h"
#include "uri.h"

#include <stdlib.h>
#include <string.h>

/* libpq's words. */
static const char no_memory[] = "out of memory\n";

/* A session for what libpq itself refused to begin: the program asks it why. */
static PGconn *failed_session(PGconn *failed, const char *error, void *caller)
{
	struct session *session = session_new(caller);

	/* libpq had no memory when we asked, and has some now: it must not have a connection of its own. */
	if (failed && REAL(PQstatus)(failed) != CONNECTION_BAD) {
		REAL(PQfinish)(failed);
		failed = NULL;
		error = no_memory;
	}
	if (!session)
		return failed;
	session_fail(session, failed, error ? strdup(error) : NULL);
	trace_open(session, NULL);
	return (PGconn *)session;
}

static PGconn *starved_session(void *caller)
{
	return failed_session(NULL, no_memory, caller);
}

static PGconn *open_session(struct target *target, bool start_only, void *caller)
{
	struct session *session = session_new(caller);

	if (!session) {
		target_release(target);
		return NULL;
	}
	struct call call __attribute__((cleanup(session_leave))) = {
	    .session = session, .mark = session_mark(__builtin_frame_address(0))};
	session->busy = call.mark;
	if (start_only)
		session_start(session, target);
	else
		session_open(session, target);
	trace_open(session, session->state == SESSION_OPEN ? session->backend : NULL);
	return (PGconn *)session;
}

/*
 * The connection string among the values of an array, without what only pqleash knows of; values as
 * they are where there is none to expand. The caller frees what is returned and *stripped.
 */
static const char **strip_values(const struct request *request, char **stripped)
{
	size_t count = 0, which = 0;

	*stripped = NULL;
	while (request->keywords[count])
		count++;
	const char **values = calloc(count + 1, sizeof *values);
	for (size_t i = 0; values && i < count; i++)
		values[i] = request->values[i];
	/* As libpq, only the first dbname, and only if that is asked for. */
	while (which < count &&
	       !(strcmp(request->keywords[which], "dbname") == 0 && request->values[which]))
		which++;
	if (values && which < count && request->expand_dbname &&
	    (*stripped = target_strip(values[which])))
		values[which] = *stripped;
	return values;
}

/* libpq would read through the NULL. */
static PGconn *no_conninfo(void *caller)
{
	return failed_session(NULL, "pqleash: the connection string is NULL\n", caller);
}

static PGconn *connect_conninfo(
    const char *conninfo, PGconn *(*refuse)(const char *), bool start_only, void *caller)
{
	struct request request = {.conninfo = conninfo};

	if (!conninfo)
		return no_conninfo(caller);
	bool starved;
	struct target *target = target_find(&request, &starved);
	if (target)
		return open_session(target, start_only, caller);
	if (starved)
		return starved_session(caller);
	char *stripped = target_strip(conninfo);
	PGconn *failed = refuse(stripped ? stripped : conninfo);
	text_wipe(stripped);
	return failed_session(failed, NULL, caller);
}

PGconn *wrap_PQconnectdb(const char *conninfo)
{
	RESOLVE();
	if (!session_leashed(__builtin_return_address(0)))
		return REAL(PQconnectdb)(conninfo);
	return connect_conninfo(conninfo, REAL(PQconnectdb), false, __builtin_return_address(0));
}

PGconn *wrap_PQconnectStart(const char *conninfo)
{
	RESOLVE();
	if (!session_leashed(__builtin_return_address(0)))
		return REAL(PQconnectStart)(conninfo);
	return connect_conninfo(conninfo, REAL(PQconnectStart), true, __builtin_return_address(0));
}

typedef PGconn *connect_arrays_function(
    const char *const *keywords, const char *const *values, int expand_dbname);

static PGconn *connect_arrays(
    const struct request *request, connect_arrays_function *refuse, bool start_only, void *caller)
{
	if (!request->keywords || !request->values)
		return no_conninfo(caller);
	bool starved;
	struct target *target = target_find(request, &starved);
	if (target)
		return open_session(target, start_only, caller);
	if (starved)
		return starved_session(caller);
	char *stripped;
	const char **values = strip_values(request, &stripped);
	PGconn *failed =
	    refuse(request->keywords, values ? values : request->values, request->expand_dbname);
	text_wipe(stripped);
	free(values);
	return failed_session(failed, NULL, caller);
}

PGconn *wrap_PQconnectdbParams(
    const char *const *keywords, const char *const *values, int expand_dbname)
{
	struct request request = {
	    .keywords = keywords, .values = values, .expand_dbname = expand_dbname};

	RESOLVE();
	if (!session_leashed(__builtin_return_address(0)))
		return REAL(PQconnectdbParams)(keywords, values, expand_dbname);
	return connect_arrays(
	    &request, REAL(PQconnectdbParams), false, __builtin_return_address(0));
}

PGconn *wrap_PQconnectStartParams(
    const char *const *keywords, const char *const *values, int expand_dbname)
{
	struct request request = {
	    .keywords = keywords, .values = values, .expand_dbname = expand_dbname};

	RESOLVE();
	if (!session_leashed(__builtin_return_address(0)))
		return REAL(PQconnectStartParams)(keywords, values, expand_dbname);
	return connect_arrays(
	    &request, REAL(PQconnectStartParams), true, __builtin_return_address(0));
}

PGconn *wrap_PQsetdbLogin(const char *pghost, const char *pgport, const char *pgoptions,
    const char *pgtty, const char *dbName, const char *login, const char *pwd)
{
	struct request request = {.login = true,
	    .host = pghost,
	    .port = pgport,
	    .options = pgoptions,
	    .dbname = dbName,
	    .user = login,
	    .password = pwd};

	RESOLVE();
	if (!session_leashed(__builtin_return_address(0)))
		return REAL(PQsetdbLogin)(pghost, pgport, pgoptions, pgtty, dbName, login, pwd);
	bool starved;
	struct target *target = target_find(&request, &starved);
	if (target)
		return open_session(target, false, __builtin_return_address(0));
	if (starved)
		return starved_session(__builtin_return_address(0));
	char *stripped = dbName ? target_strip(dbName) : NULL;
	PGconn *failed = REAL(PQsetdbLogin)(
	    pghost, pgport, pgoptions, pgtty, stripped ? stripped : dbName, login, pwd);
	text_wipe(stripped);
	return failed_session(failed, NULL, __builtin_return_address(0));
}

PostgresPollingStatusType wrap_PQconnectPoll(PGconn *conn)
{
	RESOLVE();
	if (!is_session(conn))
		return REAL(PQconnectPoll)(conn);
	SESSION_CALL(conn, CALL_STATE);
	return session_poll(session);
}

void wrap_PQreset(PGconn *conn)
{
	RESOLVE();
	if (!is_session(conn)) {
		REAL(PQreset)(conn);
		return;
	}
	SESSION_CALL(conn, CALL_STATE);
	session_reset(session, false);
}

int wrap_PQresetStart(PGconn *conn)
{
	RESOLVE();
	if (!is_session(conn))
		return REAL(PQresetStart)(conn);
	SESSION_CALL(conn, CALL_STATE);
	session_reset(session, true);
	return session->state == SESSION_OPEN || session->state == SESSION_STARTING;
}

PostgresPollingStatusType wrap_PQresetPoll(PGconn *conn)
{
	RESOLVE();
	if (!is_session(conn))
		return REAL(PQresetPoll)(conn);
	SESSION_CALL(conn, CALL_STATE);
	return session_poll(session);
}

void wrap_PQfinish(PGconn *conn)
{
	RESOLVE();
	if (!is_session(conn)) {
		REAL(PQfinish)(conn);
		return;
	}
	SESSION_CALL(conn, CALL_OWN);
	session_finish(session);
}

PGPing wrap_PQping(const char *conninfo)
{
	RESOLVE();
	char *stripped = conninfo && session_leashed(__builtin_return_address(0))
			     ? target_strip(conninfo)
			     : NULL;
	PGPing ping = REAL(PQping)(stripped ? stripped : conninfo);
	text_wipe(stripped);
	return ping;
}

PGPing wrap_PQpingParams(const char *const *keywords, const char *const *values, int expand_dbname)
{
	struct request request = {
	    .keywords = keywords, .values = values, .expand_dbname = expand_dbname};
	char *stripped = NULL;
	const char **ours = NULL;

	RESOLVE();
	if (keywords && values && session_leashed(__builtin_return_address(0)))
		ours = strip_values(&request, &stripped);
	PGPing ping = REAL(PQpingParams)(keywords, ours ? ours : values, expand_dbname);
	text_wipe(stripped);
	free(ours);
	return ping;
}

/* Programs check their URI with this before they connect; the parameters libpq refuses are ours. */
PQconninfoOption *wrap_PQconninfoParse(const char *conninfo, char **errmsg)
{
	RESOLVE();
	if (!conninfo || !session_leashed(__builtin_return_address(0)))
		return REAL(PQconninfoParse)(conninfo, errmsg);
	char *stripped = target_strip(conninfo);
	PQconninfoOption *options = REAL(PQconninfoParse)(stripped ? stripped : conninfo, errmsg);
	text_wipe(stripped);
	return options;
}

/* Our own connect timeout is none of the program's business. False where there is no memory. */
static bool hide_timeout(PQconninfoOption *options, const char *asked)
{
	for (PQconninfoOption *option = options; option && option->keyword; option++) {
		if (strcmp(option->keyword, "connect_timeout") != 0)
			continue;
		REAL(PQfreemem)(option->val);
		option->val = asked ? strdup(asked) : NULL;
		return option->val || !asked;
	}
	return true;
}

PQconninfoOption *wrap_PQconninfo(PGconn *conn)
{
	RESOLVE();
	if (!is_session(conn))
		return REAL(PQconninfo)(conn);
	SESSION_CALL(conn, CALL_STATE);
	PQconninfoOption *options =
	    session->conn ? REAL(PQconninfo)(session->conn)
			  : REAL(PQconninfoParse)(target_conninfo(session->target), NULL);
	if (!session->target || hide_timeout(options, session->target->connect_timeout))
		return options;
	/* As libpq without memory. */
	REAL(PQconninfoFree)(options);
	return NULL;
}
