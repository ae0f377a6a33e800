/*
 * Two threads. One opens a connection that the server refuses; the other opens, uses and finishes
 * connections of its own until the first has its answer. Prints the refusal, and how many.
 *
 *   refused REFUSED-CONNINFO CONNINFO
 */
#include <libpq-fe.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static int refused;

static void *open_refused(void *conninfo)
{
	PGconn *conn = PQconnectdb(conninfo);
	const char *message = PQerrorMessage(conn), *fatal = strstr(message, "FATAL:  ");

	printf("%s", fatal ? fatal + strlen("FATAL:  ") : message);
	PQfinish(conn);
	__atomic_store_n(&refused, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Whether a connection of its own worked from its beginning to its end. */
static int work(const char *conninfo)
{
	PGconn *conn = PQconnectdb(conninfo);
	PGresult *result = PQexec(conn, "SET work_mem = '1MB'");
	int good = PQresultStatus(result) == PGRES_COMMAND_OK;

	PQclear(result);
	PQfinish(conn);
	return good;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	int count = 0;

	if (argc != 3 || pthread_create(&thread, NULL, open_refused, argv[1]) != 0)
		return 2;
	while (!__atomic_load_n(&refused, __ATOMIC_ACQUIRE))
		count += work(argv[2]);
	pthread_join(thread, NULL);
	printf("%d meanwhile\n", count);
	return 0;
}
