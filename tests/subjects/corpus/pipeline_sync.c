/* PQsendPipelineSync (libpq 17): synchronization points that are not flushed. */
#include "corpus.h"

#ifdef LIBPQ_HAS_SEND_PIPELINE_SYNC
int main(void)
{
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		PGconn *conn = conns[i];

		printf("idle %d\n", PQsendPipelineSync(conn));
		show_state("idle", conn);
		PQenterPipelineMode(conn);
		add(conn, "SELECT 1/0");
		add(conn, "SELECT 1");
		printf("sync %d\n", PQsendPipelineSync(conn));
		add(conn, "SELECT 2");
		printf("sync %d\n", PQsendPipelineSync(conn));
		printf("flush %d\n", PQflush(conn));
		for (int k = 0; k < 6; k++)
			show(name_of(i), PQgetResult(conn));
		for (int k = 0; k < 3; k++)
			show(name_of(i), PQgetResult(conn));
		printf("exit %d\n", PQexitPipelineMode(conn));
		run(name_of(i), conn, "SELECT 'done'");
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
#else
NOT_IN_THIS_LIBPQ
#endif
