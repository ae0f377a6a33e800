/*
 * Threads that want more connections than there may be. Each line of output is one thread's.
 *
 * usage: queue order THREADS     one thread works for a while, the others ask one after the other:
 *                                who is answered when
 *        queue timeout SECONDS   one thread keeps using its transaction for that long, another asks
 *        queue ending SECONDS    a connection is finished in the middle of a statement that goes on
 *                                for that long, one thread works for a while, another asks
 *        queue polled SECONDS    the same, and nobody else works: who asks polls its descriptor
 *        queue poll THREADS      all ask in turns, blocking and by polling, and open anew
 *        queue cancel THREADS    the others wait as with order, and are cancelled while they do
 */
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static atomic_bool asked;

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

struct asker {
	pthread_t thread;
	PGconn *conn;
	const char *query;
	int number;
};

static void *ask(void *argument)
{
	struct asker *me = argument;
	PGresult *result = PQexec(me->conn, me->query);

	if (PQresultStatus(result) == PGRES_TUPLES_OK)
		printf(
		    "thread %d is answered as number %s\n", me->number, PQgetvalue(result, 0, 0));
	else
		printf("thread %d: %s", me->number, PQerrorMessage(me->conn));
	PQclear(result);
	return NULL;
}

static void *work(void *conn)
{
	atomic_store(&asked, true);
	PQclear(PQexec(conn, "SELECT pg_sleep(2)"));
	return NULL;
}

/* Those who wait: their statements have not begun. */
static void cancel_all(struct asker *askers, int count)
{
	char why[256];

	for (int i = 0; i < count; i++) {
		PGcancel *cancel = PQgetCancel(askers[i].conn);

		if (!PQcancel(cancel, why, sizeof why))
			printf("PQcancel: %s\n", why);
		PQfreeCancel(cancel);
	}
}

static int keep_waiting(PGconn *conn, int count, const char *query, bool cancel)
{
	struct asker *askers = calloc((size_t)count, sizeof *askers);
	pthread_t first;

	for (int i = 0; i < count; i++)
		askers[i] =
		    (struct asker){.conn = PQconnectdb(""), .query = query, .number = i + 1};
	pthread_create(&first, NULL, work, conn);
	while (!atomic_load(&asked))
		sleep_ms(1);
	for (int i = 0; i < count; i++) {
		sleep_ms(80);
		pthread_create(&askers[i].thread, NULL, ask, &askers[i]);
	}
	sleep_ms(80);
	/* As in libpq, a cancel that comes before PQexec has begun does nothing. */
	for (int round = 0; cancel && round < 10; round++) {
		cancel_all(askers, count);
		sleep_ms(100);
	}
	for (int i = 0; i < count; i++)
		pthread_join(askers[i].thread, NULL);
	pthread_join(first, NULL);
	free(askers);
	return 0;
}

static int keep_busy(PGconn *conn, int seconds)
{
	struct asker asker = {
	    .conn = PQconnectdb(""), .query = "SELECT nextval('turn')", .number = 1};
	int failed = 0;

	PQclear(PQexec(conn, "BEGIN"));
	pthread_create(&asker.thread, NULL, ask, &asker);
	for (int i = 0; i < seconds * 20; i++) {
		PGresult *result = PQexec(conn, "SELECT 1");

		failed += PQresultStatus(result) != PGRES_TUPLES_OK;
		PQclear(result);
		sleep_ms(50);
	}
	pthread_join(asker.thread, NULL);
	printf("the transaction has failed %d times\n", failed);
	return 0;
}

/* Its server process is at work for so long after it. */
static void finish_at_work(PGconn *conn, int seconds)
{
	char query[64];

	snprintf(query, sizeof query, "SELECT pg_sleep(%d)", seconds);
	PQsendQuery(conn, query);
	PQfinish(conn);
}

static int keep_ending(PGconn *conn, int seconds)
{
	PGconn *ending = PQconnectdb("");
	struct asker asker = {
	    .conn = PQconnectdb(""), .query = "SELECT nextval('turn')", .number = 1};
	pthread_t first;
	time_t began = time(NULL);

	finish_at_work(ending, seconds);
	pthread_create(&first, NULL, work, conn);
	while (!atomic_load(&asked))
		sleep_ms(1);
	ask(&asker);
	puts(time(NULL) - began < seconds / 2 ? "in good time" : "late");
	pthread_join(first, NULL);
	return 0;
}

static PGresult *poll_for(PGconn *conn, const char *query)
{
	PGresult *result, *last = NULL;

	if (!PQsendQuery(conn, query))
		return NULL;
	do {
		struct pollfd wanted = {.fd = PQsocket(conn), .events = POLLIN};

		if (poll(&wanted, 1, 30000) <= 0 || !PQconsumeInput(conn))
			return NULL;
	} while (PQisBusy(conn));
	while ((result = PQgetResult(conn))) {
		PQclear(last);
		last = result;
	}
	return last;
}

static int keep_polling(PGconn *conn, int seconds)
{
	PGconn *other = PQconnectdb("");
	time_t began = time(NULL);

	finish_at_work(conn, seconds);
	PGresult *result = poll_for(other, "SELECT 1");
	printf("%s %s\n", PQresStatus(PQresultStatus(result)),
	    time(NULL) - began < seconds + 5 ? "in good time" : "late");
	PQclear(result);
	return 0;
}

#define ROUNDS 40
#define QUESTIONS 10

static void *ask_both_ways(void *argument)
{
	atomic_int *right = argument;

	for (int i = 0; i < ROUNDS; i++) {
		PGconn *conn = PQconnectdb("");

		for (int k = 0; k < QUESTIONS; k++) {
			PGresult *result =
			    k % 2 ? PQexec(conn, "SELECT 1") : poll_for(conn, "SELECT 1");

			*right += PQntuples(result) == 1;
			PQclear(result);
		}
		PQfinish(conn);
	}
	return NULL;
}

static int poll_all(PGconn *conn, int count)
{
	pthread_t *threads = calloc((size_t)count, sizeof *threads);
	atomic_int right = 0;

	PQfinish(conn);
	for (int i = 0; i < count; i++)
		pthread_create(&threads[i], NULL, ask_both_ways, &right);
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	printf("%d of %d answers right\n", right, count * ROUNDS * QUESTIONS);
	free(threads);
	return 0;
}

int main(int argc, char **argv)
{
	PGconn *conn = PQconnectdb("");

	PQclear(PQexec(conn, "CREATE SEQUENCE turn"));
	int number = argc == 3 ? atoi(argv[2]) : 0;

	if (argc == 3 && strcmp(argv[1], "order") == 0)
		return keep_waiting(conn, number, "SELECT nextval('turn')", false);
	if (argc == 3 && strcmp(argv[1], "cancel") == 0)
		return keep_waiting(conn, number, "SELECT pg_sleep(60)", true);
	if (argc == 3 && strcmp(argv[1], "timeout") == 0)
		return keep_busy(conn, number);
	if (argc == 3 && strcmp(argv[1], "ending") == 0)
		return keep_ending(conn, number);
	if (argc == 3 && strcmp(argv[1], "polled") == 0)
		return keep_polling(conn, number);
	if (argc == 3 && strcmp(argv[1], "poll") == 0)
		return poll_all(conn, number);
	fputs("usage: queue order THREADS | cancel THREADS | timeout SECONDS | ending SECONDS | "
	      "polled SECONDS | poll THREADS\n",
	    stderr);
	return 2;
}
