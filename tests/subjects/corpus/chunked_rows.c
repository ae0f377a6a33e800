/* PQsetChunkedRowsMode (libpq 17): rows some at a time, an error on the way, and set too late. */
#include "corpus.h"

#ifdef LIBPQ_HAS_CHUNK_MODE
int main(void)
{
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		PGconn *conn = conns[i];
		const char *who = name_of(i);

		printf("early %d\n", PQsetChunkedRowsMode(conn, 2));
		PQsendQuery(conn, "SELECT generate_series(1, 5)");
		printf("none %d, some %d\n", PQsetChunkedRowsMode(conn, 0),
		    PQsetChunkedRowsMode(conn, 2));
		drain(who, conn);
		PQsendQuery(conn, "SELECT 10 / (4 - n) FROM generate_series(1, 5) n");
		printf("in time %d\n", PQsetChunkedRowsMode(conn, 2));
		drain(who, conn);
		PQsendQueryParams(conn, "SELECT 1 WHERE false", 0, NULL, NULL, NULL, NULL, 0);
		printf("in time %d, and single %d\n", PQsetChunkedRowsMode(conn, 3),
		    PQsetSingleRowMode(conn));
		drain(who, conn);
		PQsendQuery(conn, "SELECT 1; SELECT 2");
		show(who, PQgetResult(conn));
		printf("late %d\n", PQsetChunkedRowsMode(conn, 3));
		drain(who, conn);
		PQsendQuery(conn, "SELECT generate_series(1, 5)");
		PQsetChunkedRowsMode(conn, 2);
		show(who, PQgetResult(conn));
		run(who, conn, "SELECT 'cut off'");
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
#else
NOT_IN_THIS_LIBPQ
#endif
