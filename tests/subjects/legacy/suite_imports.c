/*
 * Imports and exports of measurements, with COPY.
 *
 * Connections: one for each file, closed after it, and one to look whether it arrived. The export
 * at the end forgets to close.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db.h"
#include "suites.h"

#define FILES 10
#define LINES 20

static void create_measurements(void)
{
	PGconn *conn = db_open();

	REQUIRE_DB(conn, db_schema(conn, "imports",
			     "CREATE TABLE imports.measurement (file int, line int, reading int)"));
	PQfinish(conn);
}

static bool begin_copy(PGconn *conn, const char *sql, ExecStatusType expected)
{
	PGresult *result = PQexec(conn, sql);
	bool begun = PQresultStatus(result) == expected;

	PQclear(result);
	return begun;
}

/* Reads what follows the end of the data; the number of rows copied, or -1. */
static int end_of_copy(PGconn *conn)
{
	PGresult *result;
	int rows = -1;

	while ((result = PQgetResult(conn)) != NULL) {
		if (PQresultStatus(result) == PGRES_COMMAND_OK)
			rows = atoi(PQcmdTuples(result));
		PQclear(result);
	}
	return rows;
}

static int put_lines(PGconn *conn, int file)
{
	for (int line = 1; line <= LINES; line++) {
		char text[64];
		int length = snprintf(text, sizeof(text), "%d\t%d\t%d\n", file, line, file * line);

		if (PQputCopyData(conn, text, length) != 1)
			return -1;
	}
	if (PQputCopyEnd(conn, NULL) != 1)
		return -1;
	return end_of_copy(conn);
}

static void import_file(int file)
{
	PGconn *conn = db_open();
	bool begun = begin_copy(conn, "COPY imports.measurement FROM STDIN", PGRES_COPY_IN);

	CHECK_DB(conn, begun);
	CHECK_DB(conn, begun && put_lines(conn, file) == LINES);
	PQfinish(conn);
}

static void check_arrived(int file)
{
	PGconn *conn = db_open();

	CHECK_NUMBER(conn, LINES, "SELECT count(*) FROM imports.measurement WHERE file = %d", file);
	CHECK_NUMBER(conn, 210L * file,
	    "SELECT sum(reading) FROM imports.measurement WHERE file = %d", file);
	PQfinish(conn);
}

static void check_export(void)
{
	PGconn *conn = db_open();
	char first[64] = "";
	char *line;
	int lines = 0;

	REQUIRE_DB(
	    conn, begin_copy(conn,
		      "COPY (SELECT * FROM imports.measurement ORDER BY file, line) TO STDOUT",
		      PGRES_COPY_OUT));
	while (PQgetCopyData(conn, &line, 0) > 0) {
		if (lines++ == 0)
			snprintf(first, sizeof(first), "%s", line);
		PQfreemem(line);
	}
	CHECK(lines == FILES * LINES);
	CHECK(strcmp(first, "1\t1\t1\n") == 0);
	CHECK_DB(conn, end_of_copy(conn) == lines);
	CHECK_NUMBER(conn, lines, "SELECT count(*) FROM imports.measurement");
}

static void run(void)
{
	create_measurements();
	for (int file = 1; file <= FILES; file++) {
		import_file(file);
		check_arrived(file);
	}
	check_export();
}

const struct suite imports_suite = {"imports", 46, run};
