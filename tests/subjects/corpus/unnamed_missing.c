/* The unnamed prepared statement where none was prepared, or none is any more: an error. */
#include "corpus.h"

static void execute(const char *who, PGconn *conn)
{
	show(who, PQexecPrepared(conn, "", 0, NULL, NULL, NULL, 0));
	show(who, PQdescribePrepared(conn, ""));
	printf("sent %d\n", PQsendQueryPrepared(conn, "", 0, NULL, NULL, NULL, 0));
	drain(who, conn);
	printf("sent %d\n", PQsendDescribePrepared(conn, ""));
	drain(who, conn);
}

static void execute_in_pipeline(const char *who, PGconn *conn)
{
	static const char *const values[] = {"work_mem", "99MB"};

	PQenterPipelineMode(conn);
	printf("sent %d\n", PQsendQueryPrepared(conn, "", 2, values, NULL, NULL, 0));
	printf("sync %d\n", PQpipelineSync(conn));
	printf("sent %d\n", PQsendDescribePrepared(conn, ""));
	printf("sync %d\n", PQpipelineSync(conn));
	for (int i = 0; i < 6; i++)
		show(who, PQgetResult(conn));
	printf("exit %d\n", PQexitPipelineMode(conn));
}

int main(void)
{
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		execute(name_of(i), conns[i]);
		run(name_of(i), conns[i], "SET work_mem = '5MB'");
		show(name_of(i), PQprepare(conns[i], "named", "SELECT 1", 0, NULL));
	}
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < COUNT(conns); i++)
			execute(name_of(i), conns[i]);
	for (int i = 0; i < COUNT(conns); i++)
		execute_in_pipeline(name_of(i), conns[i]);
	for (int i = 0; i < COUNT(conns); i++) {
		run(name_of(i), conns[i], "BEGIN");
		execute(name_of(i), conns[i]);
		run(name_of(i), conns[i], "ROLLBACK");
	}
	for (int i = 0; i < COUNT(conns); i++) {
		printf("sent %d\n", PQsendQueryPrepared(conns[i], "", 0, NULL, NULL, NULL, 0));
		drain(name_of(i), conns[i]);
		show(name_of(i), PQexecPrepared(conns[i], "named", 0, NULL, NULL, NULL, 0));
		run(name_of(i), conns[i], "SHOW work_mem");
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
