/*
 * Ledger: reading it with a cursor, and postings that are only tried.
 *
 * Connections: all are closed, but never after a COMMIT or ROLLBACK: "closing is rolling back".
 * Names of accounts come from the shared connection while the cursor is open.
 */
#include "db.h"
#include "suites.h"

#define FETCHES 5
#define POSTINGS 16
#define ENTRIES 50

static void create_ledger(void)
{
	PGconn *conn = db_open();

	REQUIRE_DB(conn,
	    db_schema(conn, "ledger",
		"CREATE TABLE ledger.account (id int, name text NOT NULL);"
		"CREATE TABLE ledger.entry (account int NOT NULL, amount int NOT NULL);"
		"INSERT INTO ledger.account SELECT i, 'ledger ' || i FROM generate_series(1, 5) i;"
		"INSERT INTO ledger.entry SELECT 1 + (i - 1) / 10, i FROM generate_series(1, 50) "
		"i"));
	PQfinish(conn);
}

/* Ten entries at a time: the entries of one account. */
static bool fetch_ten(PGconn *conn)
{
	PGresult *result = PQexec(conn, "FETCH 10 FROM entries");
	bool ten = PQntuples(result) == 10;

	PQclear(result);
	return ten;
}

static void check_cursor(void)
{
	PGconn *conn = db_open();

	CHECK_DB(
	    conn, db_exec(conn, "BEGIN") &&
		      db_exec(conn, "DECLARE entries CURSOR FOR"
				    " SELECT account, amount FROM ledger.entry ORDER BY amount"));
	for (int account = 1; account <= FETCHES; account++) {
		CHECK_DB(conn, fetch_ten(conn));
		CHECK_NUMBER(db_shared(), account,
		    "SELECT id FROM ledger.account WHERE name = 'ledger %d'", account);
	}
	PQfinish(conn);
}

static void try_posting(int amount)
{
	PGconn *conn = db_open();

	CHECK_DB(conn, db_exec(conn, "BEGIN") &&
			   db_execf(conn, "INSERT INTO ledger.entry VALUES (1, %d), (2, -%d)",
			       amount, amount));
	CHECK_NUMBER(conn, ENTRIES + 2, "SELECT count(*) FROM ledger.entry");
	PQfinish(conn);
}

static void check_not_posted(void)
{
	PGconn *conn = db_open();

	CHECK_NUMBER(conn, ENTRIES, "SELECT count(*) FROM ledger.entry");
	PQfinish(conn);
}

static void run(void)
{
	create_ledger();
	check_cursor();
	for (int posting = 1; posting <= POSTINGS; posting++) {
		try_posting(posting * 7);
		check_not_posted();
	}
}

const struct suite ledger_suite = {"ledger", 60, run};
