/* PQsendFlushRequest: results before the sync point; single-row mode in a pipeline. */
#include "corpus.h"

int main(void)
{
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		PGconn *conn = conns[i];

		printf("idle %d\n", PQsendFlushRequest(conn));
		PQenterPipelineMode(conn);
		PQsetnonblocking(conn, 1);
		add(conn, "SELECT 1");
		add(conn, "SELECT generate_series(1, 3)");
		printf("request %d\n", PQsendFlushRequest(conn));
		printf("flush %d\n", PQflush(conn));
		drain(name_of(i), conn);
		show("none yet", PQgetResult(conn));
		printf("single %d\n", PQsetSingleRowMode(conn));
		drain(name_of(i), conn);
		PQpipelineSync(conn);
		PQflush(conn);
		for (int k = 0; k < 3; k++)
			drain(name_of(i), conn);
		printf("exit %d\n", PQexitPipelineMode(conn));
		PQsetnonblocking(conn, 0);
		run(name_of(i), conn, "SELECT 'done'");
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
