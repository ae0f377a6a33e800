/*
 * Opens connections, one in the middle of a transaction, one with a temporary table, one with a
 * descriptor in use, and ends in the way that is asked for, with connections left open or finished.
 *
 * usage: exits leak|finish|busy return|exit|_exit|quick_exit|abort|kill|thread|exec
 */
#include <libpq-fe.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS 6
#define STATUS 42

static PGconn *conns[CONNECTIONS];

static void require(int ok, PGconn *conn, const char *what)
{
	if (ok)
		return;
	printf("%s: %s", what, PQerrorMessage(conn));
	fflush(stdout);
	_exit(1);
}

static void execute(PGconn *conn, const char *sql)
{
	PGresult *result = PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(result);

	require(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK, conn, sql);
	PQclear(result);
}

static void open_connections(void)
{
	for (int i = 0; i < CONNECTIONS; i++) {
		conns[i] = PQconnectdb("");
		require(PQstatus(conns[i]) == CONNECTION_OK, conns[i], "connect");
		execute(conns[i], "SET application_name = 'exits'");
	}
	require(PQsocket(conns[0]) >= 0, conns[0], "socket");
	execute(conns[1], "CREATE TEMPORARY TABLE kept AS SELECT 1");
	execute(conns[2], "BEGIN; CREATE TABLE never_seen (id int)");
}

static void finish_connections(void)
{
	for (int i = 0; i < CONNECTIONS; i++)
		PQfinish(conns[i]);
}

static void *exit_from_thread(void *status)
{
	exit(*(int *)status);
}

static void end_from_thread(void)
{
	static int status = STATUS;
	pthread_t thread;

	pthread_create(&thread, NULL, exit_from_thread, &status);
	pthread_join(thread, NULL);
}

/* Returns when main is to return. */
static void end(const char *way)
{
	if (strcmp(way, "exit") == 0)
		exit(STATUS);
	if (strcmp(way, "_exit") == 0)
		_exit(STATUS);
	if (strcmp(way, "quick_exit") == 0)
		quick_exit(STATUS);
	if (strcmp(way, "abort") == 0)
		abort();
	if (strcmp(way, "kill") == 0)
		kill(getpid(), SIGKILL);
	if (strcmp(way, "thread") == 0)
		end_from_thread();
	if (strcmp(way, "exec") == 0)
		execl("/bin/true", "true", (char *)NULL);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	open_connections();
	if (strcmp(argv[1], "finish") == 0)
		finish_connections();
	if (strcmp(argv[1], "busy") == 0)
		require(PQsendQuery(conns[3], "SELECT pg_sleep(30)"), conns[3], "send");
	puts("done");
	fflush(stdout);
	end(argv[2]);
	return STATUS;
}
