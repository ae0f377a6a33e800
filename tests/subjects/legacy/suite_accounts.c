/*
 * Accounts: opening, deposits, withdrawals, closing.
 *
 * Connections: every test case opens its own and leaves it open. "The process ends in a minute
 * anyway, the server cleans up behind us."
 */
#include "db.h"
#include "suites.h"

static PGconn *open_for_case(void)
{
	PGconn *conn = PQconnectdb("");

	REQUIRE_DB(conn, PQstatus(conn) == CONNECTION_OK);
	return conn;
}

static void case_schema(void)
{
	PGconn *conn = open_for_case();

	REQUIRE_DB(
	    conn, db_schema(conn, "accounts",
		      "CREATE TABLE accounts.account (id int PRIMARY KEY, owner text NOT NULL,"
		      "  balance numeric(12,2) NOT NULL DEFAULT 0 CHECK (balance >= 0),"
		      "  closed bool NOT NULL DEFAULT false);"
		      "INSERT INTO accounts.account"
		      "  SELECT i, 'owner ' || i, i * 100 FROM generate_series(1, 10) i"));
	CHECK_VALUE(conn, "10", "SELECT count(*) FROM accounts.account");
	CHECK_VALUE(conn, "5500.00", "SELECT sum(balance) FROM accounts.account");
	CHECK_VALUE(conn, "0", "SELECT count(*) FROM accounts.account WHERE closed");
}

static void case_open_account(void)
{
	PGconn *conn = open_for_case();

	CHECK_DB(
	    conn, db_exec(conn, "INSERT INTO accounts.account (id, owner) VALUES (11, 'new')"));
	CHECK_VALUE(conn, "0.00", "SELECT balance FROM accounts.account WHERE id = 11");
	CHECK_VALUE(conn, "f", "SELECT closed FROM accounts.account WHERE id = 11");
	CHECK_VALUE(conn, "11", "SELECT count(*) FROM accounts.account");
}

static void case_deposit(void)
{
	PGconn *conn = open_for_case();

	CHECK_VALUE(conn, "25.50",
	    "UPDATE accounts.account SET balance = balance + 25.5 WHERE id = 11 RETURNING balance");
	CHECK_VALUE(conn, "25.50", "SELECT balance FROM accounts.account WHERE id = 11");
	CHECK_VALUE(conn, "5525.50", "SELECT sum(balance) FROM accounts.account");
	CHECK_VALUE(conn, "new", "SELECT owner FROM accounts.account WHERE balance = 25.5");
}

static void case_withdraw(void)
{
	PGconn *conn = open_for_case();

	CHECK_VALUE(conn, "20.00",
	    "UPDATE accounts.account SET balance = balance - 5.5 WHERE id = 11 RETURNING balance");
	CHECK(db_fails(
	    conn, "23514", "UPDATE accounts.account SET balance = balance - 50 WHERE id = 11"));
	CHECK_VALUE(conn, "20.00", "SELECT balance FROM accounts.account WHERE id = 11");
	CHECK_VALUE(conn, "5520.00", "SELECT sum(balance) FROM accounts.account");
}

static void case_close_account(void)
{
	PGconn *conn = open_for_case();

	CHECK_VALUE(
	    conn, "t", "UPDATE accounts.account SET closed = true WHERE id = 3 RETURNING closed");
	CHECK_VALUE(conn, "1", "SELECT count(*) FROM accounts.account WHERE closed");
	CHECK_VALUE(conn, "owner 3", "SELECT owner FROM accounts.account WHERE closed");
	CHECK_VALUE(conn, "10", "SELECT count(*) FROM accounts.account WHERE NOT closed");
}

static void case_find_owner(void)
{
	PGconn *conn = open_for_case();

	CHECK_VALUE(conn, "7", "SELECT id FROM accounts.account WHERE owner = 'owner 7'");
	CHECK_VALUE(
	    conn, "2", "SELECT count(*) FROM accounts.account WHERE owner LIKE 'owner 1%%'");
	CHECK_VALUE(conn, "(no rows)", "SELECT id FROM accounts.account WHERE owner = 'nobody'");
	CHECK_VALUE(conn, "1", "SELECT min(id) FROM accounts.account WHERE owner ~ '^owner'");
}

static void case_richest(void)
{
	PGconn *conn = open_for_case();

	CHECK_VALUE(
	    conn, "10", "SELECT id FROM accounts.account ORDER BY balance DESC, id LIMIT 1");
	CHECK_VALUE(conn, "1000.00", "SELECT max(balance) FROM accounts.account");
	CHECK_VALUE(conn, "20.00", "SELECT min(balance) FROM accounts.account");
	CHECK_VALUE(conn, "6", "SELECT count(*) FROM accounts.account WHERE balance >= 500");
}

static void case_totals_by_state(void)
{
	PGconn *conn = open_for_case();

	CHECK_VALUE(conn, "300.00", "SELECT sum(balance) FROM accounts.account WHERE closed");
	CHECK_VALUE(conn, "5220.00", "SELECT sum(balance) FROM accounts.account WHERE NOT closed");
	CHECK_VALUE(conn, "2", "SELECT count(DISTINCT closed) FROM accounts.account");
	CHECK_VALUE(conn, "11", "SELECT count(DISTINCT owner) FROM accounts.account");
}

static void run(void)
{
	case_schema();
	case_open_account();
	case_deposit();
	case_withdraw();
	case_close_account();
	case_find_owner();
	case_richest();
	case_totals_by_state();
}

const struct suite accounts_suite = {"accounts", 40, run};
