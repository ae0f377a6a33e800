/*
 * Product catalog, current and next season.
 *
 * Connections: one for the whole suite, with its search_path set once at the beginning; everything
 * later on it writes table names without a schema. It is never closed. The neighbours that look
 * over its shoulder are closed again.
 */
#include "db.h"
#include "suites.h"

#define PRODUCTS 29

static PGconn *catalog;

static void create_seasons(void)
{
	REQUIRE_DB(catalog, db_schema(catalog, "catalog_next",
				"CREATE TABLE catalog_next.product (id int, price int);"
				"INSERT INTO catalog_next.product"
				"  SELECT i, i * 20 FROM generate_series(1, 29) i") &&
				db_schema(catalog, "catalog",
				    "CREATE TABLE catalog.product (id int, price int);"
				    "INSERT INTO catalog.product"
				    "  SELECT i, i * 10 FROM generate_series(1, 29) i"));
}

/* A connection that did not choose a season must see none. */
static void check_from_outside(void)
{
	PGconn *outside = PQconnectdb("");

	CHECK_VALUE(outside, "(null)", "SELECT to_regclass('product')");
	PQfinish(outside);
}

static void run(void)
{
	catalog = PQconnectdb("");
	create_seasons();
	REQUIRE_DB(catalog, db_exec(catalog, "SET search_path TO catalog, catalog_next"));

	for (int id = 1; id <= PRODUCTS; id++) {
		check_from_outside();
		CHECK_NUMBER(catalog, id * 10L, "SELECT price FROM product WHERE id = %d", id);
	}
}

const struct suite catalog_suite = {"catalog", 60, run};
