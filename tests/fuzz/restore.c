/*
 * Any state of a session on a real server (scripts/cluster): captured on one backend, put back on
 * another, and compared there. Each input is a list of commands, one a line, which set something to
 * the text that follows:
 *   e ENCODING    c CUSTOM SETTING    a application_name    s search_path    d DateStyle
 *   x anything: SET x, if that is one statement    p NAME=QUERY prepared by the protocol
 *   q NAME=TEXT   PREPARE "NAME" AS SELECT 'TEXT'  o standard_conforming_strings=off
 */
#include "backend.h"
#include "park.h"
#include "statement.h"
#include "target.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct backend one, other;

static void open_backend(struct backend *backend)
{
	bool starved;
	struct target *target = target_find(
	    &(struct request){.conninfo = "options='-c statement_timeout=5s'"}, &starved);

	if (!target || !backend_open(backend, target, INT64_MAX))
		abort();
	target_release(target);
}

/*
 * NULL where a timeout that the input has set struck first again and again: then there is nothing to
 * be seen.
 */
static PGresult *ask(PGconn *conn, const char *query)
{
	for (int attempt = 0; attempt < 20; attempt++) {
		PGresult *result = REAL(PQexec)(conn, query);
		ExecStatusType status = REAL(PQresultStatus)(result);
		const char *state = REAL(PQresultErrorField)(result, PG_DIAG_SQLSTATE);

		if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
			return result;
		if (!state || strcmp(state, "57014") != 0) {
			fprintf(stderr, "%s: %s", query, REAL(PQerrorMessage)(conn));
			abort();
		}
		REAL(PQclear)(result);
	}
	return NULL;
}

static void run(PGconn *conn, const char *query)
{
	REAL(PQclear)(ask(conn, query));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	/* Or there would be no settings, and no timeout but 0. */
	setenv("PQLEASH", "1", 1);
	open_backend(&one);
	open_backend(&other);
	run(one.conn, "CREATE TABLE IF NOT EXISTS canary AS SELECT 1 AS alive");
	statement_scan("SET fuzz.custom = 1");
	return 0;
}

/* ---- State ---- */

static void set(const char *name, const char *value)
{
	const char *const values[] = {name, value};

	REAL(PQclear)
	(REAL(PQexecParams)(one.conn, "SELECT pg_catalog.set_config($1, $2, false)", 2, NULL,
	    values, NULL, NULL, 0));
}

/* Nothing that outlives DISCARD ALL or that no session may be parked with. */
static void set_anything(const char *text)
{
	struct text query = {0};

	text_add(&query, "SET SESSION %s", text);
	if (!strchr(text, '.') && !strcasestr(text, "role") && !strcasestr(text, "authorization"))
		REAL(PQclear)
	(REAL(PQexecParams)(one.conn, query.bytes, 0, NULL, NULL, NULL, NULL, 0));
	text_free(&query);
}

/* A longer one the server may cut in the middle of a character, and then tell it to nobody. */
#define MOST_NAME 31

static void prepare(char *name)
{
	char *query = strchr(name, '=');

	if (!query)
		return;
	*query++ = '\0';
	if (name[0] && strlen(name) <= MOST_NAME)
		REAL(PQclear)(REAL(PQprepare)(one.conn, name, query, 0, NULL));
}

static void prepare_by_statement(char *name)
{
	char *text = strchr(name, '=');
	struct text query = {0};

	if (!text)
		return;
	*text++ = '\0';
	char *identifier = REAL(PQescapeIdentifier)(one.conn, name, strlen(name));
	char *literal = REAL(PQescapeLiteral)(one.conn, text, strlen(text));
	if (identifier && literal) {
		text_add(&query, "PREPARE %s AS SELECT %s", identifier, literal);
		REAL(PQclear)(REAL(PQexec)(one.conn, query.bytes));
	}
	text_free(&query);
	REAL(PQfreemem)(identifier);
	REAL(PQfreemem)(literal);
}

static void obey(char *line)
{
	switch (line[0]) {
	case 'e':
		REAL(PQsetClientEncoding)(one.conn, line + 1);
		break;
	case 'c':
		set("fuzz.custom", line + 1);
		break;
	case 'a':
		set("application_name", line + 1);
		break;
	case 's':
		set("search_path", line + 1);
		break;
	case 'd':
		set("DateStyle", line + 1);
		break;
	case 'x':
		set_anything(line + 1);
		break;
	case 'p':
		prepare(line + 1);
		break;
	case 'q':
		prepare_by_statement(line + 1);
		break;
	case 'o':
		set("standard_conforming_strings", "off");
		break;
	default:
		break;
	}
}

/* ---- Comparing ---- */

static bool same_cell(const PGresult *was, const PGresult *is, int row, int column)
{
	return strcmp(REAL(PQgetvalue)(was, row, column), REAL(PQgetvalue)(is, row, column)) == 0;
}

static void compare_rows(const PGresult *was, const PGresult *is)
{
	int rows = REAL(PQntuples)(was);

	if (rows != REAL(PQntuples)(is)) {
		fprintf(stderr, "%d rows were %d\n", REAL(PQntuples)(is), rows);
		abort();
	}
	for (int row = 0; row < rows; row++)
		for (int column = 0; column < REAL(PQnfields)(was); column++)
			if (!same_cell(was, is, row, column)) {
				fprintf(stderr, "%s: '%s' was '%s'\n",
				    REAL(PQgetvalue)(was, row, 0),
				    REAL(PQgetvalue)(is, row, column),
				    REAL(PQgetvalue)(was, row, column));
				abort();
			}
}

/* What the session has, as the server tells it. */
static void compare(const char *query)
{
	PGresult *was = ask(one.conn, query), *is = ask(other.conn, query);

	if (was && is)
		compare_rows(was, is);
	REAL(PQclear)(was);
	REAL(PQclear)(is);
}

/* A statement that could not be prepared again where it was prepared, either, may be forgotten. */
static void drop_impossible(void)
{
	PGresult *prepared = ask(one.conn,
	    "SELECT name, statement, 'DEALLOCATE ' || pg_catalog.quote_ident(name), from_sql "
	    "FROM pg_catalog.pg_prepared_statements");

	for (int row = 0; row < REAL(PQntuples)(prepared); row++) {
		PGresult *again = REAL(PQgetvalue)(prepared, row, 3)[0] == 't'
				      ? NULL
				      : REAL(PQprepare)(one.conn, "",
					    REAL(PQgetvalue)(prepared, row, 1), 0, NULL);

		if (REAL(PQresultStatus)(again) != PGRES_COMMAND_OK)
			REAL(PQclear)(REAL(PQexec)(one.conn, REAL(PQgetvalue)(prepared, row, 2)));
		REAL(PQclear)(again);
	}
	REAL(PQclear)(prepared);
}

static void compare_all(void)
{
	compare("SELECT name, setting FROM pg_catalog.pg_settings ORDER BY name COLLATE \"C\"");
	/* The rest in the server's, which has every character. */
	run(one.conn, "SET client_encoding = 'UTF8'");
	run(other.conn, "SET client_encoding = 'UTF8'");
	compare("SELECT pg_catalog.quote_literal(pg_catalog.current_setting('fuzz.custom', true)), "
		"pg_catalog.current_setting('application_name')");
	compare("SELECT name, statement, parameter_types::pg_catalog.text, from_sql "
		"FROM pg_catalog.pg_prepared_statements ORDER BY name COLLATE \"C\"");
}

static void start_again(PGconn *conn)
{
	run(conn, "SET default_transaction_read_only = off; SET default_transaction_isolation = "
		  "'read committed'");
	run(conn, "DISCARD ALL");
	run(conn, "SET fuzz.custom = ''");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *text = strndup((const char *)bytes, size), *rest = text, *line, *why = NULL;
	struct snapshot *snapshot;

	start_again(one.conn);
	start_again(other.conn);
	while ((line = strsep(&rest, "\n")))
		obey(line);
	free(text);
	drop_impossible();
	const char *pin = snapshot_capture(&one, &snapshot);
	if (!pin && snapshot && !snapshot_restore(snapshot, &other, &why)) {
		fprintf(stderr, "not restored: %s\n", why);
		abort();
	}
	if (!pin)
		compare_all();
	snapshot_free(snapshot);
	run(one.conn, "DISCARD ALL");
	run(one.conn, "TABLE public.canary");
	return 0;
}
