/*
 * Pricing: one price query, prepared once because it is the busiest of all.
 *
 * Connections: the one that prepared (PQprepare) is closed at the very end; the shop tills open
 * and close theirs in between.
 */
#include <stdio.h>
#include <stdlib.h>

#include "db.h"
#include "suites.h"

#define TILLS 34

static PGconn *pricing;

static void prepare_price(void)
{
	PGresult *result;

	REQUIRE_DB(pricing,
	    db_schema(pricing, "pricing",
		"CREATE TABLE pricing.price (item int, cents int NOT NULL);"
		"INSERT INTO pricing.price SELECT i, i * 25 FROM generate_series(1, 40) i"));
	result = PQprepare(pricing, "price_of",
	    "SELECT cents * $2::int FROM pricing.price WHERE item = $1::int", 2, NULL);
	CHECK_DB(pricing, PQresultStatus(result) == PGRES_COMMAND_OK);
	PQclear(result);
	result = PQdescribePrepared(pricing, "price_of");
	CHECK_DB(pricing, PQnparams(result) == 2 && PQnfields(result) == 1);
	PQclear(result);
}

/* The price of this many of an item in cents, or -1. */
static int price_of(int item, int quantity)
{
	char item_text[16];
	char quantity_text[16];
	const char *values[] = {item_text, quantity_text};
	PGresult *result;
	int cents = -1;

	snprintf(item_text, sizeof(item_text), "%d", item);
	snprintf(quantity_text, sizeof(quantity_text), "%d", quantity);
	result = PQexecPrepared(pricing, "price_of", 2, values, NULL, NULL, 0);
	if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
		cents = atoi(PQgetvalue(result, 0, 0));
	PQclear(result);
	return cents;
}

static void check_till(int item)
{
	PGconn *till = db_open();

	CHECK_NUMBER(till, item * 25L, "SELECT cents FROM pricing.price WHERE item = %d", item);
	CHECK_DB(pricing, price_of(item, 3) == item * 75);
	PQfinish(till);
}

static void run(void)
{
	pricing = db_open();
	prepare_price();
	for (int till = 1; till <= TILLS; till++)
		check_till(till);
	CHECK_DB(pricing, price_of(99, 1) == -1);
	PQfinish(pricing);
}

const struct suite pricing_suite = {"pricing", 72, run};
