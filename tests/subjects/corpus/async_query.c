/* PQsendQuery, PQconsumeInput, PQisBusy and PQgetResult with select(). */
#include "corpus.h"

#include <sys/select.h>

static void fetch(const char *who, PGconn *conn)
{
	PGresult *result;

	do {
		while (PQisBusy(conn)) {
			int descriptor = PQsocket(conn);
			fd_set readable;

			FD_ZERO(&readable);
			FD_SET(descriptor, &readable);
			select(
			    descriptor + 1, &readable, NULL, NULL, &(struct timeval){.tv_sec = 10});
			if (!PQconsumeInput(conn))
				printf("%s: %s", who, PQerrorMessage(conn));
		}
		result = PQgetResult(conn);
		show(who, result);
	} while (result);
}

int main(void)
{
	static const char *const queries[] = {"SELECT 1", "SELECT 1; SELECT 2; SELECT 3", "",
	    "SELECT 1; SELECT 1/0; SELECT 3", "nonsense", "SELECT repeat('x', 20), pg_sleep(0.02)"};
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(queries); i++) {
		PGconn *conn = conns[i % COUNT(conns)];

		printf("%s: sent %d, busy %d\n", queries[i], PQsendQuery(conn, queries[i]),
		    PQisBusy(conn) >= 0);
		fetch(queries[i], conn);
		show_state(queries[i], conn);
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
