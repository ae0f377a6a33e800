/* Functions called when they make no sense. */
#include "corpus.h"

static void idle(PGconn *conn)
{
	char *data = NULL, line[8] = "";

	show("get", PQgetResult(conn));
	show_answer("put", PQputCopyData(conn, "x", 1), conn);
	show_answer("end", PQputCopyEnd(conn, NULL), conn);
	show_answer("get", PQgetCopyData(conn, &data, 0), conn);
	printf("line %d [%s] async %d\n", PQgetline(conn, line, sizeof line), line,
	    PQgetlineAsync(conn, line, sizeof line));
	show_answer("endcopy", PQendcopy(conn), conn);
	show_answer("sync", PQpipelineSync(conn), conn);
	printf("exit %d\n", PQexitPipelineMode(conn));
	printf(
	    "busy %d consume %d flush %d\n", PQisBusy(conn), PQconsumeInput(conn), PQflush(conn));
	printf("poll %d\n", (int)PQconnectPoll(conn));
	printf("reset poll %d\n", (int)PQresetPoll(conn));
	run("exec", conn, NULL);
}

static void active(PGconn *conn)
{
	int length, answer;

	printf("sent %d\n", PQsendQuery(conn, "SELECT 1; SELECT 2"));
	show_answer("sent", PQsendQuery(conn, "SELECT 3"), conn);
	show_answer("sent", PQsendPrepare(conn, "p", "SELECT 1", 0, NULL), conn);
	show_answer("enter", PQenterPipelineMode(conn), conn);
	printf("encoding %d\n", PQsetClientEncoding(conn, "UTF8"));
	show("fn", PQfn(conn, 1, &answer, &length, 1, NULL, 0));
	show_answer("put", PQputCopyData(conn, "x", 1), conn);
	run("exec", conn, "SELECT 'after'");
	drain("rest", conn);
	printf("sent %d\n", PQsendQuery(conn, "SELECT 4; SELECT 5"));
	show("first", PQgetResult(conn));
	show("prepare", PQprepare(conn, "p", "SELECT 1", 0, NULL));
	drain("rest", conn);
}

int main(void)
{
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		idle(conns[i]);
		show_state(name_of(i), conns[i]);
		active(conns[i]);
		show_state(name_of(i), conns[i]);
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
