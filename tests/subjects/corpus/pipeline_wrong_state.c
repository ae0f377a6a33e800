/* What is not allowed in a pipeline, and leaving it too early. */
#include "corpus.h"

int main(void)
{
	PGconn *conns[4];
	int answer, length;

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		PGconn *conn = conns[i];

		PQenterPipelineMode(conn);
		run("exec", conn, "SELECT 1");
		show("params", PQexecParams(conn, "SELECT 1", 0, NULL, NULL, NULL, NULL, 0));
		show("prepare", PQprepare(conn, "p", "SELECT 1", 0, NULL));
		show("describe", PQdescribePrepared(conn, "p"));
		show("fn", PQfn(conn, 1, &answer, &length, 1, NULL, 0));
		show_state("after exec", conn);
		show_answer("send", PQsendQuery(conn, "SELECT 1"), conn);
		putchar('\n');
		PQsendQueryParams(conn, "SELECT 2", 0, NULL, NULL, NULL, NULL, 0);
		show_answer("exit", PQexitPipelineMode(conn), conn);
		PQpipelineSync(conn);
		show("first", PQgetResult(conn));
		show_answer("exit", PQexitPipelineMode(conn), conn);
		for (int k = 0; k < 4; k++)
			drain(name_of(i), conn);
		show_answer("exit", PQexitPipelineMode(conn), conn);
		putchar('\n');
		printf("exit %d\n", PQexitPipelineMode(conn));
		PQsendQuery(conn, "SELECT 3");
		show_answer("enter", PQenterPipelineMode(conn), conn);
		drain(name_of(i), conn);
		run(name_of(i), conn, "SELECT 4");
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
