/*
 * Opens connections, forks, and lets the child reset and finish each while the parent goes on using
 * its own afterwards. Prints what both see.
 *
 * usage: forks CONNECTIONS
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void ask(const char *who, int number, PGconn *conn)
{
	PGresult *result = PQexec(conn, "SELECT 'right'");

	printf("%s %d: %s\n", who, number,
	    PQresultStatus(result) == PGRES_TUPLES_OK ? PQgetvalue(result, 0, 0)
						      : PQerrorMessage(conn));
	PQclear(result);
}

static void be_child(PGconn **conns, int count)
{
	for (int i = 0; i < count; i++) {
		PQreset(conns[i]);
		ask("child", i, conns[i]);
		PQfinish(conns[i]);
	}
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 1;
	PGconn **conns = calloc((size_t)count, sizeof *conns);

	for (int i = 0; i < count; i++) {
		conns[i] = PQconnectdb("");
		ask("parent", i, conns[i]);
	}
	fflush(stdout);
	if (fork() == 0) {
		be_child(conns, count);
		exit(0);
	}
	wait(NULL);
	for (int i = 0; i < count; i++) {
		ask("parent", i, conns[i]);
		PQfinish(conns[i]);
	}
	free(conns);
	return 0;
}
