/*
 * Orders: totals, state transitions, discounts.
 *
 * Connections: one for each test, closed at its end. Still opened with PQsetdbLogin, as in the
 * old manual; all defaults, so the environment decides.
 */
#include <stdio.h>
#include <stdlib.h>

#include "db.h"
#include "suites.h"

#define ORDERS 50

static const char *const states[] = {"new", "paid", "sent", "done"};

static PGconn *connect_to_orders(void)
{
	return PQsetdbLogin(NULL, NULL, NULL, NULL, NULL, NULL, NULL);
}

static void test_schema(void)
{
	PGconn *conn = connect_to_orders();

	CHECK_DB(conn, db_schema(conn, "orders",
			   "CREATE TABLE orders.purchase (id int, total int, state text NOT NULL);"
			   "CREATE TABLE orders.transition (before text, after text);"
			   "CREATE TABLE orders.discount (from_total int, percent int);"
			   "INSERT INTO orders.purchase"
			   "  SELECT i, i * 6, 'new' FROM generate_series(1, 50) i;"
			   "INSERT INTO orders.transition VALUES ('new', 'paid'), ('paid', 'sent'),"
			   "  ('sent', 'done'), ('new', 'done');"
			   "INSERT INTO orders.discount VALUES (50, 2), (150, 5), (250, 10)"));
	PQfinish(conn);
}

static void test_total(int order)
{
	PGconn *conn = connect_to_orders();

	CHECK_NUMBER(conn, 6L * order, "SELECT total FROM orders.purchase WHERE id = %d", order);
	PQfinish(conn);
}

static bool may_change(int before, int after)
{
	return after == before + 1 || (before == 0 && after == 3);
}

/* Tries the change in a transaction that is rolled back: every test finds the orders as new. */
static void test_transition(int before, int after)
{
	PGconn *conn = connect_to_orders();
	bool set =
	    db_exec(conn, "BEGIN") &&
	    db_execf(conn, "UPDATE orders.purchase SET state = '%s' WHERE id = 1", states[before]);

	CHECK_NUMBER(conn, set && may_change(before, after),
	    "WITH changed AS (UPDATE orders.purchase p SET state = t.after"
	    "  FROM orders.transition t WHERE p.id = 1 AND t.before = p.state AND t.after = '%s'"
	    "  RETURNING 1) SELECT count(*) FROM changed",
	    states[after]);
	db_exec(conn, "ROLLBACK");
	PQfinish(conn);

	conn = connect_to_orders();
	CHECK_VALUE(conn, "new", "SELECT state FROM orders.purchase WHERE id = 1");
	PQfinish(conn);
}

static int expected_discount(int total)
{
	return total >= 250 ? 10 : total >= 150 ? 5 : total >= 50 ? 2 : 0;
}

static void test_discount(int total)
{
	PGconn *conn = connect_to_orders();
	char text[16];
	const char *values[] = {text};
	PGresult *result;

	snprintf(text, sizeof(text), "%d", total);
	result = PQexecParams(conn,
	    "SELECT coalesce(max(percent), 0) FROM orders.discount WHERE from_total <= $1::int", 1,
	    NULL, values, NULL, NULL, 0);
	CHECK_DB(conn, PQresultStatus(result) == PGRES_TUPLES_OK &&
			   atoi(PQgetvalue(result, 0, 0)) == expected_discount(total));
	PQclear(result);
	PQfinish(conn);
}

static void test_nothing_changed(void)
{
	PGconn *conn = connect_to_orders();

	CHECK_NUMBER(conn, ORDERS, "SELECT count(*) FROM orders.purchase WHERE state = 'new'");
	PQfinish(conn);
}

static void run(void)
{
	test_schema();
	for (int order = 1; order <= ORDERS; order++)
		test_total(order);
	for (int before = 0; before < 4; before++)
		for (int after = 0; after < 4; after++)
			test_transition(before, after);
	for (int total = 0; total < 340; total += 10)
		test_discount(total);
	test_nothing_changed();
}

const struct suite orders_suite = {"orders", 118, run};
