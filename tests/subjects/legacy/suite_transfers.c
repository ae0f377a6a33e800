/*
 * Transfers between accounts, as two clerks see them.
 *
 * Connections: two at once for each transfer, both with a transaction open; both are closed when
 * it is through.
 */
#include "db.h"
#include "suites.h"

#define TRANSFERS 11
#define START_BALANCE 1000

static void create_accounts(void)
{
	PGconn *conn = db_open();

	REQUIRE_DB(
	    conn, db_schema(conn, "transfers",
		      "CREATE TABLE transfers.account (name text, balance int);"
		      "INSERT INTO transfers.account VALUES ('giver', 1000), ('taker', 1000)"));
	PQfinish(conn);
}

static void check_balance(PGconn *conn, const char *account, long expected)
{
	CHECK_NUMBER(
	    conn, expected, "SELECT balance FROM transfers.account WHERE name = '%s'", account);
}

static bool move_ten(PGconn *conn)
{
	return db_exec(conn, "UPDATE transfers.account SET balance = balance - 10"
			     " WHERE name = 'giver'") &&
	       db_exec(conn, "UPDATE transfers.account SET balance = balance + 10"
			     " WHERE name = 'taker'");
}

/* The second clerk sees the money move when the first one commits, not before. */
static void check_transfer(int done_before)
{
	PGconn *first = db_open();
	PGconn *second = db_open();
	long before = START_BALANCE + 10L * done_before;

	db_exec(first, "BEGIN ISOLATION LEVEL READ COMMITTED");
	db_exec(second, "BEGIN ISOLATION LEVEL READ COMMITTED");
	move_ten(first);
	check_balance(first, "taker", before + 10);
	check_balance(second, "taker", before);
	CHECK_DB(first, db_exec(first, "COMMIT"));
	check_balance(second, "taker", before + 10);
	db_exec(second, "COMMIT");
	PQfinish(second);
	PQfinish(first);
}

static void check_final_balances(void)
{
	PGconn *conn = db_open();

	check_balance(conn, "giver", START_BALANCE - 10L * TRANSFERS);
	check_balance(conn, "taker", START_BALANCE + 10L * TRANSFERS);
	CHECK_NUMBER(conn, 2L * START_BALANCE, "SELECT sum(balance) FROM transfers.account");
	PQfinish(conn);
}

static void run(void)
{
	create_accounts();
	for (int transfer = 0; transfer < TRANSFERS; transfer++)
		check_transfer(transfer);
	check_final_balances();
}

const struct suite transfers_suite = {"transfers", 48, run};
