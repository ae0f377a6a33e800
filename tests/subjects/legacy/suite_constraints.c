/*
 * Constraints: what the database must refuse, and with which SQLSTATE.
 *
 * Connections: two for each mistake (outside and inside a transaction), closed properly: after an
 * error one never knows. A third one finds out whether the server still takes connections.
 */
#include "db.h"
#include "suites.h"

struct mistake {
	const char *sqlstate;
	const char *sql;
};

static const struct mistake mistakes[] = {
    {"23505", "INSERT INTO constraints.part VALUES (1, 'twice', 1, NULL)"},
    {"23505", "UPDATE constraints.part SET id = 2 WHERE id = 1"},
    {"23505", "INSERT INTO constraints.part VALUES (9, 'bolt', 1, NULL)"},
    {"23502", "INSERT INTO constraints.part VALUES (NULL, 'nothing', 1, NULL)"},
    {"23502", "INSERT INTO constraints.part VALUES (9, NULL, 1, NULL)"},
    {"23514", "INSERT INTO constraints.part VALUES (9, 'light', 0, NULL)"},
    {"23514", "UPDATE constraints.part SET weight = -1"},
    {"23503", "INSERT INTO constraints.part VALUES (9, 'orphan', 1, 77)"},
    {"23503", "DELETE FROM constraints.part WHERE id = 1"},
    {"22001", "INSERT INTO constraints.part VALUES (9, repeat('long', 20), 1, NULL)"},
    {"22P02", "INSERT INTO constraints.part VALUES ('nine', 'word', 1, NULL)"},
    {"22003", "INSERT INTO constraints.part VALUES (99999999999, 'big', 1, NULL)"},
    {"22012", "SELECT weight / (id - id) FROM constraints.part"},
    {"22003", "SELECT 2147483647 + 1"},
    {"22P02", "SELECT 'maybe'::boolean"},
    {"22P02", "SELECT '12x'::int"},
    {"22008", "SELECT DATE '2011-02-30'"},
    {"22007", "SELECT DATE 'someday'"},
    {"22023", "SELECT CURRENT_TIMESTAMP AT TIME ZONE 'Mars/Olympus'"},
    {"2201E", "SELECT ln(0)"},
    {"2201F", "SELECT sqrt(-1)"},
    {"2201B", "SELECT 'a' ~ '('"},
    {"42601", "SELEKT 1"},
    {"42P01", "SELECT * FROM constraints.nowhere"},
    {"42703", "SELECT colour FROM constraints.part"},
    {"42883", "SELECT constraints.weigh(1)"},
    {"42804", "SELECT 1 WHERE 1"},
    {"42P07", "CREATE TABLE constraints.part (id int)"},
    {"21000", "SELECT (SELECT id FROM constraints.part)"},
};

#define MISTAKES ((int)(sizeof(mistakes) / sizeof(mistakes[0])))

static void create_parts(void)
{
	PGconn *conn = db_open();

	REQUIRE_DB(conn,
	    db_schema(conn, "constraints",
		"CREATE TABLE constraints.part (id int PRIMARY KEY,"
		"  name varchar(40) NOT NULL UNIQUE, weight int CHECK (weight > 0),"
		"  belongs_to int REFERENCES constraints.part);"
		"INSERT INTO constraints.part VALUES (1, 'bolt', 5, NULL), (2, 'nut', 3, 1)"));
	PQfinish(conn);
}

/* Does nothing but connect; the next check fails if this did. */
static void wait_for_server(void)
{
	PQfinish(db_open());
}

static void check_refused(const struct mistake *mistake)
{
	PGconn *conn = db_open();

	CHECK_DB(conn, db_fails(conn, mistake->sqlstate, mistake->sql));
	CHECK_VALUE(conn, "2", "SELECT count(*) FROM constraints.part");
	PQfinish(conn);
}

/* A mistake spoils the transaction: nothing more works before its end. */
static void check_refused_in_transaction(const struct mistake *mistake)
{
	PGconn *conn = db_open();

	CHECK_DB(conn, db_exec(conn, "BEGIN") && db_fails(conn, mistake->sqlstate, mistake->sql) &&
			   PQtransactionStatus(conn) == PQTRANS_INERROR &&
			   db_fails(conn, "25P02", "SELECT 1") && db_exec(conn, "ROLLBACK"));
	PQfinish(conn);
}

static void check_nothing_changed(void)
{
	PGconn *conn = db_open();

	CHECK_VALUE(conn, "8", "SELECT sum(weight) FROM constraints.part");
	CHECK_VALUE(conn, "bolt nut",
	    "SELECT string_agg(name, ' ' ORDER BY id)"
	    " FROM constraints.part");
	PQfinish(conn);
}

static void run(void)
{
	create_parts();
	for (int i = 0; i < MISTAKES; i++) {
		check_refused(&mistakes[i]);
		check_refused_in_transaction(&mistakes[i]);
		wait_for_server();
	}
	check_nothing_changed();
}

const struct suite constraints_suite = {"constraints", 90, run};
