/*
 * Customers: looking them up and keeping their data.
 *
 * Connections: as the testing handbook says, set_up() opens one for each test and tear_down()
 * closes it again. set_up() knocks first, with another one: the server in the old lab was often
 * down when the tests began.
 */
#include <stdio.h>

#include "db.h"
#include "suites.h"

static PGconn *conn;

static void knock(void)
{
	PQfinish(db_open());
}

static void set_up(void)
{
	knock();
	conn = db_open();
}

static void tear_down(void)
{
	PQfinish(conn);
	conn = NULL;
}

static void test_schema(void)
{
	CHECK_DB(
	    conn, db_schema(conn, "customers",
		      "CREATE TABLE customers.customer (id int PRIMARY KEY, name text NOT NULL,"
		      "  email text NOT NULL UNIQUE, region int NOT NULL, phone text);"
		      "INSERT INTO customers.customer"
		      "  SELECT i, 'Customer ' || i, 'c' || i || '@example.com', i % 9, NULL"
		      "  FROM generate_series(1, 90) i"));
}

static void test_find_by_id(int id)
{
	char name[32];

	snprintf(name, sizeof(name), "Customer %d", id);
	CHECK_VALUE(conn, name, "SELECT name FROM customers.customer WHERE id = %d", id);
}

static void test_find_by_email(int id)
{
	CHECK_NUMBER(conn, id,
	    "SELECT id FROM customers.customer WHERE email = lower('C%d@Example.COM')", id);
	CHECK_VALUE(conn, "(no rows)",
	    "SELECT id FROM customers.customer WHERE email = 'c%d@example.org'", id);
}

static void test_region_size(int region)
{
	CHECK_NUMBER(conn, 10, "SELECT count(*) FROM customers.customer WHERE region = %d", region);
}

static void test_change_phone(int id)
{
	CHECK_VALUE(conn, "(null)", "SELECT phone FROM customers.customer WHERE id = %d", id);
	CHECK_DB(
	    conn, db_execf(conn, "UPDATE customers.customer SET phone = '555-%04d' WHERE id = %d",
		      id, id));
	CHECK_NUMBER(conn, id, "SELECT id FROM customers.customer WHERE phone = '555-%04d'", id);
}

/* Runs one test for each number of a range, each with a connection of its own. */
static void for_each(int first, int last, void (*test)(int))
{
	for (int i = first; i <= last; i++) {
		set_up();
		test(i);
		tear_down();
	}
}

static void run(void)
{
	set_up();
	test_schema();
	tear_down();

	for_each(1, 30, test_find_by_id);
	for_each(31, 50, test_find_by_email);
	for_each(0, 8, test_region_size);
	for_each(81, 90, test_change_phone);
}

const struct suite customers_suite = {"customers", 110, run};
