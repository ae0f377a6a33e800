/*
 * Workloads that open connections: to close them again, or not.
 */
#include "bench.h"

#include <stddef.h>
#include <stdlib.h>

#define OWN_WORK_US 200

static void churn_once(void)
{
	PGconn *conn = bench_connect();

	bench_query(conn, "SELECT 1");
	PQfinish(conn);
}

static void churn(long times)
{
	while (times-- > 0)
		churn_once();
}

static void churn_with_pause(long times)
{
	while (times-- > 0) {
		churn_once();
		bench_pause_us(OWN_WORK_US);
	}
}

static void connect_and_finish(long times)
{
	while (times-- > 0)
		PQfinish(bench_connect());
}

static void leak(long times)
{
	while (times-- > 0)
		bench_connect();
}

static void leak_after_query(long times)
{
	while (times-- > 0)
		bench_query(bench_connect(), "SELECT 1");
}

/* Among so many that were leaked before; one in fifty of them has run a query, or it would take too long. */
static void leak_many(char **arguments)
{
	long many = atol(arguments[0]);

	for (long i = 0; i < many; i++) {
		if (i % 50 == 0)
			leak_after_query(1);
		else
			leak(1);
	}
}

const struct workload connection_workloads[] = {
    {.name = "churn", .run = churn},
    {.name = "churn_with_pause", .run = churn_with_pause},
    {.name = "connect_and_finish", .run = connect_and_finish},
    {.name = "leak", .run = leak},
    {.name = "leak_after_query", .run = leak_after_query},
    {"leak_among", "SESSIONS", 1, leak_many, leak_after_query},
    {.name = NULL},
};
