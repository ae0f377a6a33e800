/*
 * Dashboard: a tile for each figure.
 *
 * Connections: figures are written over short ones and read over the shared connection of db.c,
 * "which is always there".
 */
#include "db.h"
#include "suites.h"

#define TILES 9

static void create_tiles(void)
{
	PGconn *conn = db_open();

	REQUIRE_DB(
	    conn, db_schema(conn, "dashboard",
		      "CREATE TABLE dashboard.tile (id int, figure int NOT NULL);"
		      "INSERT INTO dashboard.tile SELECT i, 0 FROM generate_series(1, 9) i"));
	PQfinish(conn);
}

static void check_tile(int tile)
{
	PGconn *conn = db_open();

	CHECK_DB(conn,
	    db_execf(conn, "UPDATE dashboard.tile SET figure = %d WHERE id = %d", tile * 11, tile));
	PQfinish(conn);
	CHECK_NUMBER(
	    db_shared(), tile * 11L, "SELECT figure FROM dashboard.tile WHERE id = %d", tile);
}

static void run(void)
{
	create_tiles();
	for (int tile = 1; tile <= TILES; tile++)
		check_tile(tile);
	CHECK_VALUE(db_shared(), "495", "SELECT sum(figure) FROM dashboard.tile");
}

const struct suite dashboard_suite = {"dashboard", 20, run};
