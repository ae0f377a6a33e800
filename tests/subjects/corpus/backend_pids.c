/* A session whose pid the program knows keeps it, and can be told from the others by it. */
/* needs: 2, for they are watched in pairs */
#include "corpus.h"

/* Whether the server, asked in one session, knows the other by its pid. */
static void watch(const char *who, PGconn *watcher, PGconn *watched)
{
	char pid[20];
	const char *const values[] = {pid};

	snprintf(pid, sizeof pid, "%d", PQbackendPID(watched));
	show(who, PQexecParams(watcher,
		      "SELECT application_name, state FROM pg_stat_activity WHERE pid = $1", 1,
		      NULL, values, NULL, NULL, 0));
}

static void ask_itself(const char *who, PGconn *conn)
{
	PGresult *result = PQexec(conn, "SELECT pg_backend_pid()");

	printf("%s: the same pid %d\n", who,
	    PQntuples(result) == 1 && atoi(PQgetvalue(result, 0, 0)) == PQbackendPID(conn));
	PQclear(result);
}

int main(void)
{
	for (int pair = 0; pair < 3; pair++) {
		PGconn *conns[2];

		open_sessions(conns, COUNT(conns));
		run("a", conns[0], "SET application_name = 'first'");
		run("b", conns[1], "SET application_name = 'second'");
		printf("two pids %d\n", PQbackendPID(conns[0]) != PQbackendPID(conns[1]));
		for (int round = 0; round < 2; round++) {
			watch("a sees", conns[0], conns[1]);
			watch("b sees", conns[1], conns[0]);
			ask_itself("a", conns[0]);
			ask_itself("b", conns[1]);
		}
		finish_sessions(conns, COUNT(conns));
	}
	return 0;
}
