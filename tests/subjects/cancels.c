/*
 * Long statements that are cancelled, each through its own connection's cancel object, while the
 * short statements in between must never be: one thread for each connection, and one that cancels;
 * or a single thread, and a signal handler that cancels. Prints the counts.
 *
 * usage: cancels threads|signal CONNECTIONS SECONDS
 */
#include <libpq-fe.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#define SHORT_STATEMENTS 5

struct worker {
	pthread_t thread;
	PGconn *conn;
	PGcancel *cancel;
	pthread_mutex_t lock; /* held while one of them cancels: the statement cannot end then */
	bool running;
};

static int count;
static struct worker *workers;
static atomic_bool over, all_ended;
static struct worker *volatile present; /* for the signal handler */
static atomic_long cancelled, missed, undisturbed, hit;

static void count_long(PGresult *result)
{
	const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	atomic_fetch_add(code && strcmp(code, "57014") == 0 ? &cancelled : &missed, 1);
	PQclear(result);
}

static void count_short(PGresult *result)
{
	atomic_fetch_add(PQresultStatus(result) == PGRES_TUPLES_OK ? &undisturbed : &hit, 1);
	PQclear(result);
}

static void set_running(struct worker *me, bool running)
{
	pthread_mutex_lock(&me->lock);
	me->running = running;
	pthread_mutex_unlock(&me->lock);
}

static void *work(void *argument)
{
	struct worker *me = argument;

	while (!atomic_load(&over)) {
		set_running(me, true);
		PGresult *result = PQexec(me->conn, "SELECT pg_sleep(60)");
		set_running(me, false);
		count_long(result);
		for (int i = 0; i < SHORT_STATEMENTS; i++)
			count_short(PQexec(me->conn, "SELECT 1 FROM pg_sleep(0.002)"));
	}
	return NULL;
}

/* As often as needed: what has not begun cannot be cancelled. */
static void *cancel_all(void *argument)
{
	char why[256];

	while (!atomic_load(&all_ended))
		for (int i = 0; i < count; i++) {
			struct worker *one = &workers[i];

			pthread_mutex_lock(&one->lock);
			if (one->running && !PQcancel(one->cancel, why, sizeof why))
				printf("PQcancel: %s\n", why);
			pthread_mutex_unlock(&one->lock);
			nanosleep(&(struct timespec){0, 500000}, NULL);
		}
	return argument;
}

static void run_threads(int seconds)
{
	pthread_t canceller;

	for (int i = 0; i < count; i++)
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	pthread_create(&canceller, NULL, cancel_all, NULL);
	nanosleep(&(struct timespec){seconds, 0}, NULL);
	atomic_store(&over, true);
	for (int i = 0; i < count; i++)
		pthread_join(workers[i].thread, NULL);
	atomic_store(&all_ended, true);
	pthread_join(canceller, NULL);
}

static void cancel_present(int number)
{
	struct worker *one = present;
	char why[256];

	(void)number;
	if (one)
		PQcancel(one->cancel, why, sizeof why);
}

static void run_by_signal(int seconds)
{
	struct itimerval every = {{0, 3000}, {0, 3000}};
	time_t end = time(NULL) + seconds;

	signal(SIGALRM, cancel_present);
	setitimer(ITIMER_REAL, &every, NULL);
	for (int i = 0; time(NULL) < end; i = (i + 1) % count) {
		present = &workers[i];
		count_long(PQexec(workers[i].conn, "SELECT pg_sleep(60)"));
		present = NULL;
		count_short(PQexec(workers[i].conn, "SELECT 1 FROM pg_sleep(0.005)"));
	}
	setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fputs("usage: cancels threads|signal CONNECTIONS SECONDS\n", stderr);
		return 2;
	}
	count = atoi(argv[2]);
	workers = calloc((size_t)count, sizeof *workers);
	for (int i = 0; i < count; i++) {
		workers[i].conn = PQconnectdb("");
		workers[i].cancel = PQgetCancel(workers[i].conn);
		pthread_mutex_init(&workers[i].lock, NULL);
	}
	if (strcmp(argv[1], "signal") == 0)
		run_by_signal(atoi(argv[3]));
	else
		run_threads(atoi(argv[3]));
	for (int i = 0; i < count; i++) {
		PQfreeCancel(workers[i].cancel);
		PQfinish(workers[i].conn);
	}
	printf("%ld cancelled, %ld missed, %ld undisturbed, %ld hit\n", cancelled, missed,
	    undisturbed, hit);
	free(workers);
	return cancelled > 0 && missed == 0 && hit == 0 ? 0 : 1;
}
