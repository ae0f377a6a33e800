/*
 * Inventory: stock levels and movements.
 *
 * Connections: one with the prepared statements (SQL PREPARE), used from beginning to end. The
 * stock takers each open another one meanwhile; nobody closes any.
 */
#include "db.h"
#include "suites.h"

#define STOCK_TAKERS 3

static PGconn *inventory;

static void prepare_inventory(void)
{
	inventory = PQconnectdb("");
	REQUIRE_DB(inventory,
	    db_schema(inventory, "inventory",
		"CREATE TABLE inventory.stock (item int, quantity int NOT NULL);"
		"INSERT INTO inventory.stock SELECT i, 100 + i FROM generate_series(1, 20) i"));
	CHECK_DB(inventory,
	    db_exec(inventory, "PREPARE stock (int) AS"
			       "  SELECT quantity FROM inventory.stock WHERE item = $1"));
	CHECK_DB(
	    inventory, db_exec(inventory,
			   "PREPARE move (int, int) AS UPDATE inventory.stock"
			   "  SET quantity = quantity + $2 WHERE item = $1 RETURNING quantity"));
}

/* Looks at six items, beginning with this one. */
static void check_stock(int first)
{
	for (int item = first; item < first + 6; item++)
		CHECK_NUMBER(inventory, 100L + item, "EXECUTE stock (%d)", item);
}

static void take_stock(void)
{
	PGconn *taker = PQconnectdb("");

	CHECK_VALUE(taker, "20", "SELECT count(*) FROM inventory.stock");
	CHECK_VALUE(taker, "2210", "SELECT sum(quantity) FROM inventory.stock");
}

static void run(void)
{
	prepare_inventory();
	check_stock(1);
	for (int taker = 0; taker < STOCK_TAKERS; taker++) {
		take_stock();
		check_stock(2 + 6 * taker);
	}
	CHECK_NUMBER(inventory, 15, "SELECT quantity - 90 FROM inventory.stock WHERE item = 5");
	CHECK_VALUE(inventory, "95", "EXECUTE move (5, -10)");
	CHECK_VALUE(inventory, "95", "EXECUTE stock (5)");
	CHECK_VALUE(inventory, "105", "EXECUTE move (5, 10)");
	CHECK_VALUE(inventory, "2", "SELECT count(*) FROM pg_prepared_statements WHERE from_sql");
	CHECK_VALUE(inventory, "2210", "SELECT sum(quantity) FROM inventory.stock");
	CHECK_VALUE(inventory, "120", "EXECUTE stock (20)");
}

const struct suite inventory_suite = {"inventory", 40, run};
