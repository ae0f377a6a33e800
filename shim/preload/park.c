/*
 * Capture and restore. The server is asked what the session has changed; nothing is parsed or
 * guessed. The session may have done anything to itself: so every name is qualified (search_path),
 * no literal has a backslash but those that libpq writes (standard_conforming_strings), and for our
 * transaction only the statement_timeout is lifted, the client's encoding is the server's, which can
 * tell every value, and the role is that of the login, which may see every setting.
 */
#include "park.h"
#include "pqleash_settings_check.h"
#include "say.h"
#include "settings.h"
#include "statement.h"
#include "text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MOST_TIMEOUT_RETRIES 20

struct snapshot {
	PGresult *login; /* one row: the columns below */
	PGresult *rows;  /* kind and up to four values each */
	char guard[24];  /* the statement_timeout that the session has of ours; "" for none */
};

enum login_column {
	STATEMENT_TIMEOUT,
	ROLE,
	SESSION_AUTHORIZATION,
	TRANSACTION_TIMEOUT,
	CLIENT_ENCODING,
	PROCESS,
	LOGIN_COLUMNS
};
enum row_column { KIND, NAME, VALUE, TYPES, ROW_COLUMNS };

/* Of a prepared statement, as the protocol has it. */
#define MOST_PARAMETERS 65535

/*
 * One message, hence one transaction. The isolation level keeps a session whose default is
 * SERIALIZABLE READ ONLY DEFERRABLE from waiting for a safe snapshot here; LOCAL, or
 * pg_settings would show it as set by the session ever after.
 */
static const char login_query[] =
    "SET LOCAL TRANSACTION ISOLATION LEVEL READ COMMITTED; "
    "SELECT pg_catalog.current_setting('statement_timeout'), pg_catalog.current_setting('role'), "
    "pg_catalog.current_setting('session_authorization'), "
    "pg_catalog.current_setting('transaction_timeout', true), "
    "pg_catalog.current_setting('client_encoding'), pg_catalog.pg_backend_pid(), "
    "pg_catalog.set_config('client_encoding', pg_catalog.current_setting('server_encoding'), "
    "true), "
    "pg_catalog.set_config('statement_timeout', '0', true)%s; "
    "SET LOCAL SESSION AUTHORIZATION DEFAULT; ";

static const char state_query[] =
    "WITH settings AS (SELECT * FROM pg_catalog.pg_settings) "
    "SELECT 'setting' AS kind, name, setting AS value, NULL AS types FROM settings "
    "WHERE source OPERATOR(pg_catalog.=) 'session' AND name OPERATOR(pg_catalog.<>) ALL "
    "('{statement_timeout,transaction_timeout,client_encoding,transaction_isolation,"
    "transaction_read_only,transaction_deferrable}'::pg_catalog.text[]) "
    "UNION ALL SELECT 'default', name, pg_catalog.set_config(name, reset_val, true), NULL "
    "FROM settings WHERE name OPERATOR(pg_catalog.=) ANY "
    "('{statement_timeout,transaction_timeout}'::pg_catalog.text[]) "
    "UNION ALL SELECT 'default', name, reset_val, NULL "
    "FROM settings WHERE name OPERATOR(pg_catalog.=) 'client_encoding' "
    "UNION ALL SELECT 'custom', n, pg_catalog.current_setting(n, true), NULL "
    "FROM pg_catalog.unnest('{%s}'::pg_catalog.text[]) AS n "
    "WHERE pg_catalog.current_setting(n, true) IS NOT NULL "
    "UNION ALL SELECT CASE WHEN from_sql THEN 'PREPARE' ELSE 'prepared' END, name, statement, "
    "parameter_types::pg_catalog.oid[]::pg_catalog.text FROM pg_catalog.pg_prepared_statements "
    "UNION ALL SELECT 'pinned', 'holds a cursor WITH HOLD', NULL, NULL WHERE EXISTS "
    "(SELECT FROM pg_catalog.pg_cursors WHERE is_holdable) "
    "UNION ALL SELECT 'pinned', 'is listening for notifications', NULL, NULL WHERE EXISTS "
    "(SELECT FROM pg_catalog.pg_listening_channels()) "
    "UNION ALL SELECT 'pinned', 'holds a session advisory lock', NULL, NULL WHERE EXISTS "
    "(SELECT FROM pg_catalog.pg_locks WHERE locktype OPERATOR(pg_catalog.=) 'advisory' "
    "AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()) "
    "UNION ALL SELECT 'pinned', 'holds a temporary object', NULL, NULL WHERE EXISTS "
    "(SELECT FROM pg_catalog.pg_depend WHERE refclassid OPERATOR(pg_catalog.=) "
    "2615::pg_catalog.oid AND refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())";

/*
 * For a backend that was opened before ALTER ROLE or ALTER DATABASE: what a new one may have by
 * default now, this one keeps as it was. As far as the login may set it.
 */
static const char old_defaults_query[] =
    " UNION ALL SELECT 'setting', name, setting, NULL FROM settings "
    "WHERE source OPERATOR(pg_catalog.<>) 'session' AND name OPERATOR(pg_catalog.<>) ALL "
    "('{statement_timeout,transaction_timeout,client_encoding,role,session_authorization}'"
    "::pg_catalog.text[]) "
    "AND (context OPERATOR(pg_catalog.=) 'user' OR (context OPERATOR(pg_catalog.=) 'superuser' "
    "AND pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on')) "
    "AND (source OPERATOR(pg_catalog.=) ANY "
    "('{user,database,\"database user\",global}'::pg_catalog.text[]) "
    "OR name OPERATOR(pg_catalog.=) ANY (SELECT pg_catalog.split_part(c, '=', 1) "
    "FROM pg_catalog.pg_db_role_setting d, pg_catalog.unnest(d.setconfig) AS c))";

/* The error where there is no memory to tell one. Not to be freed: see free_error. */
static char no_memory[] = "";

static void free_error(char *error)
{
	if (error != no_memory)
		free(error);
}

static const char *cell(const PGresult *result, int row, int column)
{
	return REAL(PQgetvalue)(result, row, column);
}

static bool is_kind(const PGresult *rows, int row, const char *kind)
{
	return strcmp(cell(rows, row, KIND), kind) == 0;
}

static char *capture_query(const struct backend *backend)
{
	struct text names = {0}, query = {0};
	bool has_transaction_timeout = REAL(PQserverVersion)(backend->conn) >= 170000;

	for (size_t i = 0; i < custom_count(); i++)
		text_add(&names, "%s%s", i ? "," : "", custom_name(i));
	text_add(&query, login_query,
	    has_transaction_timeout ? ", pg_catalog.set_config('transaction_timeout', '0', true)"
				    : "");
	text_add(&query, state_query, names.bytes ? names.bytes : "");
	if (backend_is_older(backend))
		text_add(&query, "%s", old_defaults_query);
	bool failed = names.failed;
	text_free(&names);
	if (!failed)
		return text_take(&query);
	text_free(&query);
	return NULL;
}

/*
 * Type oids as PostgreSQL prints an array of them: {23,25}. Returns how many, -1 where it is
 * something else.
 *   types  room for half as many as the array has bytes, or NULL
 */
static int read_types(const char *array, Oid *types)
{
	int count = 0;

	if (strcmp(array, "{}") == 0)
		return 0;
	while (*array == (count ? ',' : '{')) {
		long oid;

		array++;
		if (!setting_digits(&array, UINT32_MAX, &oid) || count == MOST_PARAMETERS)
			return -1;
		if (types)
			types[count] = (Oid)oid;
		count++;
	}
	return count && strcmp(array, "}") == 0 ? count : -1;
}

static bool is_null(const PGresult *result, int row, int column)
{
	return REAL(PQgetisnull)(result, row, column);
}

static bool is_known_kind(const PGresult *rows, int row)
{
	static const char *const kinds[] = {
	    "setting", "default", "custom", "prepared", "PREPARE", "pinned"};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (is_kind(rows, row, kinds[i]))
			return true;
	return false;
}

static bool is_row_well_formed(const PGresult *rows, int row)
{
	bool prepared = is_kind(rows, row, "prepared") || is_kind(rows, row, "PREPARE");

	return is_known_kind(rows, row) && !is_null(rows, row, NAME) &&
	       (!is_null(rows, row, VALUE) || is_kind(rows, row, "pinned")) &&
	       (!prepared || read_types(cell(rows, row, TYPES), NULL) >= 0);
}

/* A server may answer anything: what does not look like an answer to our question is none. */
static bool is_well_formed(const struct snapshot *snapshot)
{
	const PGresult *login = snapshot->login, *rows = snapshot->rows;

	if (REAL(PQntuples)(login) != 1 || REAL(PQnfields)(login) < LOGIN_COLUMNS ||
	    REAL(PQnfields)(rows) != ROW_COLUMNS)
		return false;
	for (int column = 0; column < LOGIN_COLUMNS; column++)
		if (column != TRANSACTION_TIMEOUT && is_null(login, 0, column))
			return false;
	for (int row = 0; row < REAL(PQntuples)(rows); row++)
		if (!is_row_well_formed(rows, row))
			return false;
	return true;
}

static bool is_cancelled(const PGresult *result)
{
	const char *state = REAL(PQresultErrorField)(result, PG_DIAG_SQLSTATE);

	return state && strcmp(state, "57014") == 0;
}

/* Run the capture; false with *timed_out when the session's own statement_timeout struck first. */
static bool ask(
    struct backend *backend, const char *query, struct snapshot *snapshot, bool *timed_out)
{
	PGresult *result;
	bool good = true;

	*snapshot = (struct snapshot){0};
	*timed_out = false;
	backend_talk(backend);
	if (!REAL(PQsendQuery)(backend->conn, query))
		return false;
	while ((result = backend_next_result(backend))) {
		PGresult **place = snapshot->login ? &snapshot->rows : &snapshot->login;
		ExecStatusType status = REAL(PQresultStatus)(result);

		if (status == PGRES_TUPLES_OK && !*place)
			*place = result;
		else {
			*timed_out |= is_cancelled(result);
			good &= status == PGRES_COMMAND_OK;
			REAL(PQclear)(result);
		}
		if (REAL(PQstatus)(backend->conn) != CONNECTION_OK)
			return false;
	}
	return good && snapshot->rows && is_well_formed(snapshot);
}

/*
 * The text of an SQL PREPARE is that of its whole message. It can be run again only if there is
 * nothing else in it; a semicolon inside a literal is mistaken for more, which pins but never
 * misleads.
 */
static bool can_prepare_again(const char *statement)
{
	const char *semicolon = strchr(statement, ';');

	while (*statement == ' ' || *statement == '\n' || *statement == '\t' || *statement == '\r')
		statement++;
	return strncasecmp(statement, "prepare", 7) == 0 &&
	       (!semicolon || semicolon[1 + strspn(semicolon + 1, " \t\r\n")] == '\0');
}

static const char *find_pin(const struct snapshot *snapshot)
{
	/* The reasons are literals of the query above; the result they come in is freed. */
	static const char *const reasons[] = {"holds a cursor WITH HOLD",
	    "is listening for notifications", "holds a session advisory lock",
	    "holds a temporary object"};

	for (int row = 0; row < REAL(PQntuples)(snapshot->rows); row++) {
		if (is_kind(snapshot->rows, row, "PREPARE") &&
		    !can_prepare_again(cell(snapshot->rows, row, VALUE)))
			return "has a statement prepared amid others";
		if (!is_kind(snapshot->rows, row, "pinned"))
			continue;
		for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
			if (strcmp(cell(snapshot->rows, row, NAME), reasons[i]) == 0)
				return reasons[i];
	}
	return NULL;
}

static bool is_named(const struct snapshot *snapshot, int row, const char *name)
{
	return strcmp(cell(snapshot->rows, row, NAME), name) == 0;
}

/*
 * The value of what we have to change ourselves as the session had it, if that is not what a reset
 * gives, or we give it after one; else NULL.
 */
static const char *changed_default(const struct snapshot *snapshot, int row)
{
	enum login_column column = TRANSACTION_TIMEOUT;

	if (!is_kind(snapshot->rows, row, "default"))
		return NULL;
	if (is_named(snapshot, row, "statement_timeout"))
		column = STATEMENT_TIMEOUT;
	else if (is_named(snapshot, row, "client_encoding"))
		column = CLIENT_ENCODING;
	const char *value = cell(snapshot->login, 0, column);
	const char *usual = column == STATEMENT_TIMEOUT && snapshot->guard[0]
				? snapshot->guard
				: cell(snapshot->rows, row, VALUE);

	return strcmp(value, usual) == 0 ? NULL : value;
}

static bool has_other_login(const struct snapshot *snapshot, const PGconn *conn)
{
	return strcmp(cell(snapshot->login, 0, SESSION_AUTHORIZATION), REAL(PQuser)(conn)) != 0;
}

static bool has_role(const struct snapshot *snapshot)
{
	return strcmp(cell(snapshot->login, 0, ROLE), "none") != 0;
}

/* Where the login has a default role, to have none is a change too. */
static bool is_blank(const struct snapshot *snapshot, const struct backend *backend)
{
	if (has_other_login(snapshot, backend->conn) || has_role(snapshot) || backend->default_role)
		return false;
	for (int row = 0; row < REAL(PQntuples)(snapshot->rows); row++)
		if (!is_kind(snapshot->rows, row, "default") || changed_default(snapshot, row))
			return false;
	return true;
}

static void clear(struct snapshot *snapshot)
{
	REAL(PQclear)(snapshot->login);
	REAL(PQclear)(snapshot->rows);
	*snapshot = (struct snapshot){0};
}

const char *snapshot_capture(struct backend *backend, struct snapshot **kept)
{
	struct snapshot taken;
	bool timed_out, good = false;
	char *query = capture_query(backend);

	*kept = NULL;
	for (int attempt = 0; query && !good && attempt < MOST_TIMEOUT_RETRIES; attempt++) {
		good = ask(backend, query, &taken, &timed_out);
		if (!good)
			clear(&taken);
		if (!timed_out)
			break;
	}
	free(query);
	if (!good)
		return "has state that could not be read";
	if (REAL(PQntuples)(taken.login) == 1 && REAL(PQnfields)(taken.login) > PROCESS)
		backend_note_process(backend, cell(taken.login, 0, PROCESS), "");
	memcpy(taken.guard, backend->guard, sizeof taken.guard);
	const char *pin = find_pin(&taken);
	if (!pin && custom_overflowed())
		pin = "may have more custom settings than are remembered";
	if (!pin && !is_blank(&taken, backend)) {
		*kept = malloc(sizeof **kept);
		if (*kept)
			**kept = taken;
		else
			pin = "has state, and there is no memory to keep it";
	}
	if (!*kept)
		clear(&taken);
	return pin;
}

void snapshot_free(struct snapshot *snapshot)
{
	if (!snapshot)
		return;
	clear(snapshot);
	free(snapshot);
}

bool snapshot_covers(const struct snapshot *snapshot, const char *const *customs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		bool found = false;

		for (int row = 0; snapshot && row < REAL(PQntuples)(snapshot->rows); row++)
			found |= is_kind(snapshot->rows, row, "custom") &&
				 strcmp(cell(snapshot->rows, row, NAME), customs[i]) == 0;
		if (!found)
			return false;
	}
	return true;
}

/* set_config for each pair, in order, in one statement. */
struct assignments {
	struct text query;
	const char **values;
	int count;
};

static void assign(struct assignments *assignments, const char *name, const char *value)
{
	int first = assignments->count + 1;

	text_add(&assignments->query, "%spg_catalog.set_config($%d, $%d, false)",
	    assignments->count ? ", " : "SELECT ", first, first + 1);
	assignments->values[assignments->count++] = name;
	assignments->values[assignments->count++] = value;
}

/*
 * The failure of a result, for a message; NULL when it did not fail. Clears the result. Without one
 * libpq had no memory, or no connection.
 */
static char *failure(const struct backend *backend, PGresult *result, const char *what)
{
	ExecStatusType status = REAL(PQresultStatus)(result);
	struct text message = {0};

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK ||
	    status == PGRES_EMPTY_QUERY) {
		REAL(PQclear)(result);
		return NULL;
	}
	const char *why =
	    result ? REAL(PQresultErrorMessage)(result) : REAL(PQerrorMessage)(backend->conn);
	if (why[0])
		text_add(&message, "%s could not be put back: %s", what, why);
	REAL(PQclear)(result);
	char *error = text_take(&message);
	return error ? error : no_memory;
}

static int send_assignments(struct assignments *list, PGconn *conn)
{
	if (!list->query.bytes)
		return 0;
	return REAL(PQsendQueryParams)(
	    conn, list->query.bytes, list->count, NULL, list->values, NULL, NULL, 0);
}

static void free_assignments(struct assignments *list)
{
	text_free(&list->query);
	free(list->values);
}

/* What would hinder our own statements comes after them. */
static bool comes_last(const struct snapshot *snapshot, int row)
{
	static const char hinders[] = "default_transaction_";

	return is_named(snapshot, row, "lock_timeout") ||
	       strncmp(cell(snapshot->rows, row, NAME), hinders, sizeof hinders - 1) == 0;
}

/* Settings first, then who the session is: what it may set, it may set as itself at login. */
static void list_settings(
    struct assignments *list, const struct snapshot *snapshot, const struct backend *backend)
{
	for (int row = 0; row < REAL(PQntuples)(snapshot->rows); row++) {
		if (is_kind(snapshot->rows, row, "custom") ||
		    (is_kind(snapshot->rows, row, "setting") && !comes_last(snapshot, row)))
			assign(list, cell(snapshot->rows, row, NAME),
			    cell(snapshot->rows, row, VALUE));
	}
	if (has_other_login(snapshot, backend->conn))
		assign(
		    list, "session_authorization", cell(snapshot->login, 0, SESSION_AUTHORIZATION));
	if (has_role(snapshot) || backend->default_role)
		assign(list, "role", cell(snapshot->login, 0, ROLE));
}

static bool has_encoding(const struct backend *backend, const char *encoding)
{
	const char *now = REAL(PQparameterStatus)(backend->conn, "client_encoding");

	return now && strcmp(now, encoding) == 0;
}

/* Not PQsetClientEncoding, which quotes nothing. */
static char *set_encoding(struct backend *backend, const char *encoding)
{
	static const char query[] = "SELECT pg_catalog.set_config('client_encoding', $1, false)";

	if (!encoding || has_encoding(backend, encoding))
		return NULL;
	return failure(backend,
	    backend_answer(backend,
		REAL(PQsendQueryParams)(backend->conn, query, 1, NULL, &encoding, NULL, NULL, 0)),
	    "its client_encoding");
}

/* What was captured is in the server's encoding, until everything is put back. */
static char *use_server_encoding(struct backend *backend)
{
	return set_encoding(backend, REAL(PQparameterStatus)(backend->conn, "server_encoding"));
}

static char *restore_encoding(const struct snapshot *snapshot, struct backend *backend)
{
	for (int row = 0; row < REAL(PQntuples)(snapshot->rows); row++) {
		if (!is_kind(snapshot->rows, row, "default") ||
		    !is_named(snapshot, row, "client_encoding"))
			continue;
		if (changed_default(snapshot, row))
			return set_encoding(backend, changed_default(snapshot, row));
		if (!has_encoding(backend, cell(snapshot->rows, row, VALUE)))
			return failure(backend, backend_query(backend, "RESET client_encoding"),
			    "its client_encoding");
	}
	return NULL;
}

static int send_prepare(const struct snapshot *snapshot, int row, PGconn *conn)
{
	const char *statement = cell(snapshot->rows, row, VALUE);
	const char *array = cell(snapshot->rows, row, TYPES);

	if (is_kind(snapshot->rows, row, "PREPARE"))
		return REAL(PQsendQueryParams)(conn, statement, 0, NULL, NULL, NULL, NULL, 0);
	Oid *types = malloc((strlen(array) + 1) * sizeof *types);
	if (!types)
		return 0;
	int sent = REAL(PQsendPrepare)(
	    conn, cell(snapshot->rows, row, NAME), statement, read_types(array, types), types);
	free(types);
	return sent;
}

/* The server, in its own words; not libpq for want of memory or of a connection. */
static bool server_refused(const PGresult *result)
{
	return REAL(PQresultErrorField)(result, PG_DIAG_SQLSTATE) != NULL;
}

static bool is_prepared(const struct snapshot *snapshot, int row)
{
	return is_kind(snapshot->rows, row, "prepared") || is_kind(snapshot->rows, row, "PREPARE");
}

static bool any_prepared(const struct snapshot *snapshot)
{
	bool any = false;

	for (int row = 0; row < REAL(PQntuples)(snapshot->rows); row++)
		any |= is_prepared(snapshot, row);
	return any;
}

/*
 * Preparing locks tables: one that another session of this same program has locked would keep us
 * waiting for ever. So that wait is limited, until all are prepared.
 */
static int send_lock_timeout(PGconn *conn)
{
	char query[64];
	long limit_ms = settings()->pool_timeout_ms, silence_ms = settings()->connect_timeout_ms;

	/* Well before the server is taken for dead. */
	if (limit_ms > silence_ms / 2)
		limit_ms = silence_ms / 2;
	snprintf(query, sizeof query, "SET lock_timeout = %ld", limit_ms > 0 ? limit_ms : 1);
	return REAL(PQsendQueryParams)(conn, query, 0, NULL, NULL, NULL, NULL, 0);
}

/*
 * What is put back in one go: the settings, and then the prepared statements, by row; one step before
 * the first row limits the wait for locks.
 */
struct steps {
	const struct snapshot *snapshot;
	struct assignments settings;
	int rows;
	bool any_prepared;
};
enum { SETTINGS = -2, LIMIT = -1 };

static bool is_step(const struct steps *steps, int row)
{
	if (row == SETTINGS)
		return steps->settings.count > 0;
	if (row == LIMIT)
		return steps->any_prepared;
	return is_prepared(steps->snapshot, row);
}

static int send_step(struct steps *steps, int row, PGconn *conn)
{
	if (row == SETTINGS)
		return send_assignments(&steps->settings, conn);
	if (row == LIMIT)
		return send_lock_timeout(conn);
	return send_prepare(steps->snapshot, row, conn);
}

/* Each step is a transaction of its own: one that fails leaves the others alone. */
static bool send_all_steps(struct steps *steps, PGconn *conn)
{
	for (int row = SETTINGS; row < steps->rows; row++)
		if (is_step(steps, row) &&
		    (!send_step(steps, row, conn) || !REAL(PQpipelineSync)(conn)))
			return false;
	return true;
}

/*
 * A statement that cannot be prepared any more (its table is gone) is forgotten with a line on
 * stderr: executing it would have failed as well, only with another error.
 */
static char *end_step(const struct steps *steps, int row, struct backend *backend)
{
	PGresult *next, *result = backend_next_result(backend);
	bool prepares = row > LIMIT;

	while (result && (next = backend_next_result(backend)))
		REAL(PQclear)(next);
	bool refused = server_refused(result);
	char *error =
	    failure(backend, result, row == SETTINGS ? "its settings" : "a prepared statement");
	if (error && refused && prepares && REAL(PQstatus)(backend->conn) == CONNECTION_OK) {
		say("prepared statement \"%s\" is forgotten: it can no longer be prepared",
		    cell(steps->snapshot->rows, row, NAME));
		free_error(error);
		error = NULL;
	}
	return error;
}

/* In one round trip where there are several steps and this libpq has pipelines. */
static char *run_steps(struct steps *steps, struct backend *backend)
{
	PGconn *conn = backend->conn;
	bool pipelined =
	    steps->any_prepared && HAS(PQenterPipelineMode) && REAL(PQenterPipelineMode)(conn);
	char *error = NULL;

	if (pipelined && !send_all_steps(steps, conn))
		return failure(backend, NULL, "its state");
	for (int row = SETTINGS; !error && row < steps->rows; row++) {
		if (!is_step(steps, row))
			continue;
		if (!pipelined && !send_step(steps, row, conn))
			return failure(backend, NULL, "its state");
		error = end_step(steps, row, backend);
		if (pipelined && !error)
			REAL(PQclear)(backend_next_result(backend)); /* the end of the step */
	}
	if (pipelined && !error && !REAL(PQexitPipelineMode)(conn))
		error = failure(backend, NULL, "its state");
	return error;
}

static char *restore_most(const struct snapshot *snapshot, struct backend *backend)
{
	int rows = REAL(PQntuples)(snapshot->rows);
	struct steps steps = {
	    .snapshot = snapshot, .rows = rows, .any_prepared = any_prepared(snapshot)};

	steps.settings.values = malloc(((size_t)rows + 2) * 2 * sizeof(char *));
	if (!steps.settings.values)
		return no_memory;
	list_settings(&steps.settings, snapshot, backend);
	char *error = run_steps(&steps, backend);
	free_assignments(&steps.settings);
	return error;
}

static char *stop_waiting(struct backend *backend)
{
	if (!backend_may_wait(backend))
		return NULL;
	return failure(backend, backend_query(backend, "SET default_transaction_deferrable = off"),
	    "its state");
}

static void add_literal(struct text *query, PGconn *conn, const char *value)
{
	char *literal = REAL(PQescapeLiteral)(conn, value, strlen(value));

	if (literal)
		text_add_string(query, literal);
	else
		text_fail(query);
	REAL(PQfreemem)(literal);
}

/* What would hinder our own statements, to be set by the last one; NULL where the row is no such. */
static const char *last_value(const struct snapshot *snapshot, int row)
{
	if (is_kind(snapshot->rows, row, "setting") && comes_last(snapshot, row))
		return cell(snapshot->rows, row, VALUE);
	return is_named(snapshot, row, "client_encoding") ? NULL : changed_default(snapshot, row);
}

/*
 * A simple query, even if there is nothing left to do: before that our last statement is the unnamed
 * one at the server, where the program is to find none that it has not prepared.
 */
static char *restore_last(const struct snapshot *snapshot, struct backend *backend)
{
	struct text query = {0};
	const char *before = "SELECT ";

	text_add_string(&query, ";");
	if (backend_may_wait(backend))
		text_add_string(&query, "RESET default_transaction_deferrable; ");
	if (any_prepared(snapshot))
		text_add_string(&query, "RESET lock_timeout; ");
	for (int row = 0; row < REAL(PQntuples)(snapshot->rows); row++) {
		const char *value = last_value(snapshot, row);

		if (!value)
			continue;
		text_add(&query, "%spg_catalog.set_config(", before);
		add_literal(&query, backend->conn, cell(snapshot->rows, row, NAME));
		text_add_string(&query, ", ");
		add_literal(&query, backend->conn, value);
		text_add_string(&query, ", false)");
		before = ", ";
	}
	char *text = text_take(&query);
	char *error =
	    text ? failure(backend, backend_query(backend, text), "its settings") : no_memory;
	free(text);
	return error;
}

bool snapshot_restore(const struct snapshot *snapshot, struct backend *backend, char **why)
{
	char *error;

	backend_talk(backend);
	error = stop_waiting(backend);
	if (!error)
		error = use_server_encoding(backend);
	if (!error)
		error = restore_most(snapshot, backend);
	if (!error)
		error = restore_encoding(snapshot, backend);
	if (!error)
		error = restore_last(snapshot, backend);
	if (!error && REAL(PQstatus)(backend->conn) != CONNECTION_OK)
		error = failure(backend, NULL, "its state");
	*why = error == no_memory ? NULL : error;
	return !error;
}
