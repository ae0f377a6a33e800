/*
 * Shipments and their parcels.
 *
 * Connections: parcels are counted over short ones; the rest goes over the shared connection of
 * db.c. At the end this suite closes what it used: all of it.
 */
#include "db.h"
#include "suites.h"

#define SHIPMENTS 11

static void create_shipments(void)
{
	PGconn *conn = db_open();

	REQUIRE_DB(conn,
	    db_schema(conn, "shipments",
		"CREATE TABLE shipments.parcel (shipment int NOT NULL, grams int NOT NULL);"
		"INSERT INTO shipments.parcel SELECT s, p * 100 FROM generate_series(1, 11) s,"
		"  generate_series(1, s) p"));
	PQfinish(conn);
}

static void check_shipment(int shipment)
{
	PGconn *conn = db_open();

	CHECK_NUMBER(
	    conn, shipment, "SELECT count(*) FROM shipments.parcel WHERE shipment = %d", shipment);
	PQfinish(conn);
	CHECK_NUMBER(db_shared(), shipment * 100L,
	    "SELECT max(grams) FROM shipments.parcel WHERE shipment = %d", shipment);
}

static void run(void)
{
	create_shipments();
	for (int shipment = 1; shipment <= SHIPMENTS; shipment++)
		check_shipment(shipment);
	CHECK_VALUE(db_shared(), "66", "SELECT count(*) FROM shipments.parcel");
	PQfinish(db_shared());
}

const struct suite shipments_suite = {"shipments", 24, run};
