/*
 * Nightly clean-up of expired rows.
 *
 * Connections: the test closes its connection, and so does tear_down(), to be on the safe side.
 * The audit opens another one between the two.
 */
#include "db.h"
#include "suites.h"

#define NIGHTS 9

static PGconn *conn;

static void tear_down(void)
{
	PQfinish(conn);
}

static void test_schema(void)
{
	conn = db_open();
	REQUIRE_DB(conn,
	    db_schema(conn, "cleanup",
		"CREATE TABLE cleanup.token (id int, night int NOT NULL);"
		"INSERT INTO cleanup.token SELECT i, 1 + i % 9 FROM generate_series(1, 90) i"));
	CHECK_VALUE(conn, "90", "SELECT count(*) FROM cleanup.token");
	PQfinish(conn);
}

/* Ten tokens expire every night. */
static void test_night(int night)
{
	conn = db_open();
	CHECK_NUMBER(conn, 10,
	    "WITH gone AS (DELETE FROM cleanup.token WHERE night = %d RETURNING 1)"
	    "SELECT count(*) FROM gone",
	    night);
	CHECK_NUMBER(conn, 90L - 10L * night, "SELECT count(*) FROM cleanup.token");
	PQfinish(conn);
}

static void audit(PGconn *auditor)
{
	CHECK_VALUE(auditor, "0", "SELECT count(*) FROM cleanup.token");
}

static void run(void)
{
	PGconn *auditor;

	test_schema();
	tear_down();
	for (int night = 1; night <= NIGHTS; night++) {
		test_night(night);
		tear_down();
	}

	conn = db_open();
	audit(conn);
	PQfinish(conn);
	auditor = db_open();
	tear_down();
	audit(auditor);
	PQfinish(auditor);
}

const struct suite cleanup_suite = {"cleanup", 22, run};
