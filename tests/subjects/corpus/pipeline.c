/* Pipeline mode: commands sent together, results in order, sync points. */
#include "corpus.h"

int main(void)
{
	PGconn *conns[4];
	char query[64];
	const char *values[] = {"5"};

	prepare_database("CREATE TABLE t (a int)");
	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		PGconn *conn = conns[i];
		const char *who = name_of(i);

		printf("%s: enter %d again %d status %d\n", who, PQenterPipelineMode(conn),
		    PQenterPipelineMode(conn), (int)PQpipelineStatus(conn));
		for (int k = 0; k < 3; k++) {
			snprintf(query, sizeof query, "INSERT INTO t VALUES ($1 + %d)", k);
			PQsendQueryParams(conn, query, 1, NULL, values, NULL, NULL, 0);
		}
		PQsendPrepare(conn, "p", "SELECT count(*) FROM t WHERE a >= $1", 1, NULL);
		PQsendDescribePrepared(conn, "p");
		PQsendQueryPrepared(conn, "p", 1, values, NULL, NULL, 0);
		printf("%s: sync %d\n", who, PQpipelineSync(conn));
		PQsendQueryParams(conn, "SELECT sum(a) FROM t", 0, NULL, NULL, NULL, NULL, 0);
		PQpipelineSync(conn);
		for (int k = 0; k < 9; k++)
			drain(who, conn);
		show_state(who, conn);
		printf("%s: exit %d\n", who, PQexitPipelineMode(conn));
		run(who, conn, "SELECT count(*) FROM t");
	}
	for (int i = 0; i < COUNT(conns); i++)
		show(name_of(i), PQexecPrepared(conns[i], "p", 1, values, NULL, NULL, 0));
	finish_sessions(conns, COUNT(conns));
	return 0;
}
