/*
 * Many threads, each with connections of its own, asking at the same time. Prints how many answers
 * were right; every thread sets a marker in its session first and looks for it in every answer.
 *
 * usage: threads THREADS CONNECTIONS-IN-ALL QUERIES-IN-ALL [watch]
 *        watch: meanwhile the main thread looks at all connections, whose calls are running
 */
#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int threads, connections, queries;
static atomic_int right, wrong, at_work;
static bool watched;
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
	atomic_fetch_sub(&at_work, 1);
	return NULL;
}

static void look_at(int number)
{
	char quoted[16];
	int error = 0;

	if (PQstatus(conns[number]) != CONNECTION_OK)
		complain(number, "PQstatus", PQerrorMessage(conns[number]));
	if (PQtransactionStatus(conns[number]) == PQTRANS_UNKNOWN)
		complain(number, "PQtransactionStatus", "unknown");
	if (PQsocket(conns[number]) < 0)
		complain(number, "PQsocket", "none");
	PQescapeStringConn(conns[number], quoted, "it's", 4, &error);
	if (error || strcmp(quoted, "it''s") != 0)
		complain(number, "PQescapeStringConn", quoted);
	PQfreeCancel(PQgetCancel(conns[number]));
}

static void watch(void)
{
	pthread_barrier_wait(&start);
	while (atomic_load(&at_work) > 0)
		for (int i = 0; i < connections; i++)
			look_at(i);
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fputs("usage: threads THREADS CONNECTIONS QUERIES [watch]\n", stderr);
		return 2;
	}
	threads = atoi(argv[1]);
	connections = atoi(argv[2]);
	queries = atoi(argv[3]);
	conns = calloc((size_t)connections, sizeof *conns);
	pthread_t *ids = calloc((size_t)threads, sizeof *ids);
	watched = argc > 4 && strcmp(argv[4], "watch") == 0;
	at_work = threads;
	pthread_barrier_init(&start, NULL, (unsigned)(threads + watched));
	for (int i = 0; i < threads; i++)
		pthread_create(&ids[i], NULL, work, (void *)(size_t)i);
	if (watched)
		watch();
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
