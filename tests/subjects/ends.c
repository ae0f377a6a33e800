/*
 * Opens a connection, leaks it, and ends in one of many ways.
 *
 * usage: ends exit|_exit|abort|kill|fork [CONNINFO]
 *   fork  a child opens one of its own, and uses and finishes that of its parent
 */
#include <libpq-fe.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static PGconn *open_one(const char *conninfo)
{
	PGconn *conn = PQconnectdb(conninfo);

	PQclear(PQexec(conn, "SELECT 1"));
	return conn;
}

static int run_child(PGconn *inherited)
{
	PGconn *own = open_one("");
	int good = PQstatus(own) == CONNECTION_OK;

	PQfinish(inherited);
	return good ? 0 : 1;
}

int main(int argc, char **argv)
{
	const char *end = argc > 1 ? argv[1] : "exit";
	PGconn *conn = open_one(argc > 2 ? argv[2] : "");
	int status = 0;

	if (strcmp(end, "_exit") == 0)
		_exit(0);
	if (strcmp(end, "abort") == 0)
		abort();
	if (strcmp(end, "kill") == 0)
		kill(getpid(), SIGKILL);
	if (strcmp(end, "fork") != 0)
		return 0;
	pid_t child = fork();
	if (child == 0)
		return run_child(conn);
	waitpid(child, &status, 0);
	return WEXITSTATUS(status);
}
