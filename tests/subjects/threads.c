/*
 * Many threads, each with connections of its own, asking at the same time. Prints how many answers
 * were right; every thread sets a marker in its session first and looks for it in every answer.
 *
 * usage: threads THREADS CONNECTIONS-IN-ALL QUERIES-IN-ALL [finish-elsewhere]
 */
#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int threads, connections, queries;
static atomic_int right, wrong;
static pthread_barrier_t start;
static PGconn **conns;

static void complain(int number, const char *what, const char *why)
{
	if (atomic_fetch_add(&wrong, 1) < 10)
		printf("connection %d: %s: %s\n", number, what, why);
}

static void open_one(int number)
{
	char query[64];

	conns[number] = PQconnectdb("");
	if (PQstatus(conns[number]) != CONNECTION_OK)
		complain(number, "PQconnectdb", PQerrorMessage(conns[number]));
	snprintf(query, sizeof query, "SET application_name = 'marker %d'", number);
	PQclear(PQexec(conns[number], query));
}

static void ask_one(int number)
{
	char expected[32];
	PGresult *result =
	    PQexec(conns[number], "SELECT pg_catalog.current_setting('application_name')");

	snprintf(expected, sizeof expected, "marker %d", number);
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		complain(number, "PQexec", PQerrorMessage(conns[number]));
	else if (strcmp(PQgetvalue(result, 0, 0), expected) != 0)
		complain(number, "another session's marker", PQgetvalue(result, 0, 0));
	else
		atomic_fetch_add(&right, 1);
	PQclear(result);
}

/* Thread n has the connections n, n + threads, n + 2 * threads, ... */
static void *work(void *argument)
{
	int me = (int)(size_t)argument, number = me;

	for (int i = me; i < connections; i += threads)
		open_one(i);
	pthread_barrier_wait(&start);
	for (int i = me; i < queries; i += threads) {
		ask_one(number);
		number = number + threads < connections ? number + threads : me;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fputs("usage: threads THREADS CONNECTIONS QUERIES\n", stderr);
		return 2;
	}
	threads = atoi(argv[1]);
	connections = atoi(argv[2]);
	queries = atoi(argv[3]);
	conns = calloc((size_t)connections, sizeof *conns);
	pthread_t *ids = calloc((size_t)threads, sizeof *ids);
	pthread_barrier_init(&start, NULL, (unsigned)threads);
	for (int i = 0; i < threads; i++)
		pthread_create(&ids[i], NULL, work, (void *)(size_t)i);
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	/* The main thread finishes what others have opened. */
	for (int i = 0; i < connections; i++)
		PQfinish(conns[i]);
	printf("%d of %d answers right\n", atomic_load(&right), queries);
	free(conns);
	free(ids);
	return atomic_load(&right) == queries && atomic_load(&wrong) == 0 ? 0 : 1;
}
