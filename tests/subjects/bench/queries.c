/*
 * Workloads on connections that are open already.
 */
#include "bench.h"

#include <stddef.h>

#define OWN_WORK_US 200

static const char million[] = "SELECT pg_catalog.generate_series(1, 1000000)";
static PGconn *conn;

static void set_up(char **arguments)
{
	(void)arguments;
	conn = bench_connect();
	bench_query(conn, "SELECT 1");
}

static void round_trip(long times)
{
	while (times-- > 0)
		bench_query(conn, "SELECT 1");
}

static void round_trip_with_pause(long times)
{
	while (times-- > 0) {
		bench_query(conn, "SELECT 1");
		bench_pause_us(OWN_WORK_US);
	}
}

static void million_rows(long times)
{
	while (times-- > 0)
		bench_query(conn, million);
}

static void million_single_rows(long times)
{
	PGresult *result;

	while (times-- > 0) {
		long rows = 0;

		if (!PQsendQuery(conn, million) || !PQsetSingleRowMode(conn))
			bench_die("%s: %s", million, PQerrorMessage(conn));
		while ((result = PQgetResult(conn))) {
			rows += PQntuples(result);
			PQclear(result);
		}
		if (rows != 1000000)
			bench_die("%ld rows: %s", rows, PQerrorMessage(conn));
	}
}

static void status(long times)
{
	while (times-- > 0)
		if (PQstatus(conn) != CONNECTION_OK)
			bench_die("PQstatus: %s", PQerrorMessage(conn));
}

static void transaction_status(long times)
{
	while (times-- > 0)
		if (PQtransactionStatus(conn) != PQTRANS_IDLE)
			bench_die("PQtransactionStatus: %s", PQerrorMessage(conn));
}

/* Two connections, each with settings and prepared statements of its own, asked in turns. */
static PGconn *two[2];

static void prepare(PGconn *one, const char *name, const char *query)
{
	PGresult *result = PQprepare(one, name, query, 0, NULL);

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		bench_die("PQprepare: %s", PQerrorMessage(one));
	PQclear(result);
}

static void set_up_two(char **arguments)
{
	(void)arguments;
	for (int i = 0; i < 2; i++) {
		two[i] = bench_connect();
		bench_query(two[i],
		    i ? "SET application_name = 'second'" : "SET application_name = 'first'");
		bench_query(two[i], "SET work_mem = '8MB'");
		bench_query(two[i], "SET search_path = pg_catalog, public");
		bench_query(two[i], "SET DateStyle = 'German'");
		prepare(two[i], "one", "SELECT $1::int + 1");
		prepare(two[i], "two", "SELECT relname FROM pg_catalog.pg_class WHERE oid = $1");
	}
}

static void take_turns(long times)
{
	static int turn;

	while (times-- > 0) {
		bench_query(two[turn], "SELECT 1");
		turn = !turn;
	}
}

const struct workload query_workloads[] = {
    {.name = "round_trip", .set_up = set_up, .run = round_trip},
    {.name = "round_trip_with_pause", .set_up = set_up, .run = round_trip_with_pause},
    {.name = "million_rows", .set_up = set_up, .run = million_rows},
    {.name = "million_single_rows", .set_up = set_up, .run = million_single_rows},
    {.name = "status", .set_up = set_up, .run = status},
    {.name = "transaction_status", .set_up = set_up, .run = transaction_status},
    {.name = "take_turns", .set_up = set_up_two, .run = take_turns},
    {.name = NULL},
};
