/* A pipeline with an error in it is aborted up to its sync. */
#include "corpus.h"

int main(void)
{
	PGconn *conns[4];

	prepare_database("CREATE TABLE t (a int)");
	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		PGconn *conn = conns[i];

		PQenterPipelineMode(conn);
		add(conn, "INSERT INTO t VALUES (1)");
		add(conn, "SELECT 1/0");
		add(conn, "INSERT INTO t VALUES (2)");
		PQpipelineSync(conn);
		add(conn, "INSERT INTO t VALUES (3)");
		add(conn, "BEGIN");
		add(conn, "SELECT nonsense");
		PQpipelineSync(conn);
		add(conn, "COMMIT");
		PQpipelineSync(conn);
		for (int k = 0; k < 10; k++) {
			PGresult *result = PQgetResult(conn);

			printf("pipeline status %d\n", (int)PQpipelineStatus(conn));
			show(name_of(i), result);
			if (result && PQpipelineStatus(conn) != PQ_PIPELINE_ON)
				continue;
			drain(name_of(i), conn);
		}
		show_state(name_of(i), conn);
		printf("exit %d\n", PQexitPipelineMode(conn));
		drain(name_of(i), conn);
		run(name_of(i), conn, "SELECT a, count(*) FROM t GROUP BY a ORDER BY a");
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
