/* Arguments that PQsendQuery's family refuses before anything is sent. */
#include "corpus.h"

static void told(const char *what, PGconn *conn, int sent)
{
	printf("%s: %d %s", what, sent, sent ? "\n" : PQerrorMessage(conn));
	drain(what, conn);
}

int main(void)
{
	PGconn *conns[5];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		PGconn *conn = conns[i];

		told("query", conn, PQsendQuery(conn, NULL));
		told("params", conn,
		    PQsendQueryParams(conn, "SELECT 1", 70000, NULL, NULL, NULL, NULL, 0));
		told("prepare", conn, PQsendPrepare(conn, NULL, "SELECT 1", 0, NULL));
		told("prepare", conn, PQsendPrepare(conn, "x", NULL, 0, NULL));
		told("prepare", conn, PQsendPrepare(conn, "x", "SELECT 1", -1, NULL));
		told("prepared", conn, PQsendQueryPrepared(conn, NULL, 0, NULL, NULL, NULL, 0));
		told("describe", conn, PQsendDescribePrepared(conn, NULL));
		told("portal", conn, PQsendDescribePortal(conn, NULL));
		told("binary", conn,
		    PQsendQueryParams(conn, "SELECT $1::int", 1, NULL, (const char *const[]){"1"},
			NULL, (const int[]){1}, 0));
		told("single", conn, PQsetSingleRowMode(conn));
		run("good", conn, "SELECT 1");
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
