/*
 * Message archive: paging through it, and reading it in one go.
 *
 * Connections: every page view opens its own, as the web front end does, and leaves closing it to
 * the end of the process.
 */
#include <stdlib.h>

#include "db.h"
#include "suites.h"

#define MESSAGES 2000
#define PAGES 24
#define PAGE_LENGTH 50

static PGresult *read_all(PGconn *conn)
{
	return PQexec(conn, "SELECT id, repeat('x', 90) || id FROM archive.message ORDER BY id");
}

static void check_read_in_one_go(void)
{
	PGconn *conn = db_open();
	PGresult *result;

	REQUIRE_DB(conn, db_schema(conn, "archive",
			     "CREATE TABLE archive.message (id int PRIMARY KEY, year int NOT NULL);"
			     "INSERT INTO archive.message"
			     "  SELECT i, 1999 + i % 10 FROM generate_series(1, 2000) i"));
	result = read_all(conn);
	CHECK_DB(conn, PQntuples(result) == MESSAGES);
	CHECK_DB(conn, PQntuples(result) == MESSAGES &&
			   PQgetlength(result, MESSAGES - 1, 1) == 94 &&
			   atoi(PQgetvalue(result, MESSAGES - 1, 0)) == MESSAGES);
	PQclear(result);
}

static void check_read_row_by_row(void)
{
	PGconn *conn = db_open();
	PGresult *result;
	int rows = 0;

	if (PQsendQuery(conn, "SELECT id FROM archive.message WHERE id <= 500"))
		PQsetSingleRowMode(conn);
	while ((result = PQgetResult(conn)) != NULL) {
		if (PQresultStatus(result) == PGRES_SINGLE_TUPLE)
			rows++;
		PQclear(result);
	}
	CHECK_DB(conn, rows == 500);
}

static void check_page(int page)
{
	PGconn *conn = db_open();
	int first = page * PAGE_LENGTH + 1;

	CHECK_NUMBER(conn, PAGE_LENGTH,
	    "SELECT count(*) FROM archive.message WHERE id >= %d AND id < %d", first,
	    first + PAGE_LENGTH);
	CHECK_NUMBER(
	    conn, 1999 + first % 10, "SELECT year FROM archive.message WHERE id = %d", first);
}

static void run(void)
{
	check_read_in_one_go();
	check_read_row_by_row();
	for (int page = 0; page < PAGES; page++)
		check_page(page);
}

const struct suite archive_suite = {"archive", 52, run};
