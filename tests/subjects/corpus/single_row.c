/* Single-row mode: rows one by one, an error on the way, and set too late. */
#include "corpus.h"

int main(void)
{
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		PGconn *conn = conns[i];
		const char *who = name_of(i);

		printf("early %d\n", PQsetSingleRowMode(conn));
		PQsendQuery(conn, "SELECT generate_series(1, 4)");
		printf("in time %d\n", PQsetSingleRowMode(conn));
		drain(who, conn);
		PQsendQuery(conn, "SELECT 10 / (3 - n) FROM generate_series(1, 5) n");
		printf("in time %d\n", PQsetSingleRowMode(conn));
		drain(who, conn);
		PQsendQuery(conn, "SELECT 1 WHERE false; SELECT 2");
		printf(
		    "in time %d, twice %d\n", PQsetSingleRowMode(conn), PQsetSingleRowMode(conn));
		drain(who, conn);
		PQsendQuery(conn, "SELECT 1; SELECT 2");
		show(who, PQgetResult(conn));
		printf("late %d\n", PQsetSingleRowMode(conn));
		drain(who, conn);
		PQsendQuery(conn, "SELECT generate_series(1, 3)");
		PQsetSingleRowMode(conn);
		show(who, PQgetResult(conn));
		run(who, conn, "SELECT 'cut off'");
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
