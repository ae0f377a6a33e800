/*
 * Threads that open, use and finish connections all the time, while the main thread forks again and
 * again. Each child does what it can with libpq, and is expected to end soon. Says how many did.
 *
 * usage: forks_threaded THREADS FORKS
 *        forks_threaded statement    one fork, while a thread's statement runs, which the child's
 *                                    connection is in the middle of
 */
#include <libpq-fe.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_S 15
#define MOST_THREADS 64

static atomic_bool stop;
static atomic_int right, wrong;
static PGconn *of_threads[MOST_THREADS], *of_main;

/* A SETTING that only this session has; whether it is seen in an answer. */
static int is_right(PGconn *conn, const char *name)
{
	const char *values[] = {name};
	PGresult *result =
	    PQexecParams(conn, "SELECT $1 = pg_catalog.current_setting('application_name')", 1,
		NULL, values, NULL, NULL, 0);
	int good =
	    PQresultStatus(result) == PGRES_TUPLES_OK && strcmp(PQgetvalue(result, 0, 0), "t") == 0;

	if (!good)
		fprintf(stderr, "%s: %s\n", name, PQerrorMessage(conn));
	PQclear(result);
	return good;
}

static PGconn *open_as(const char *name)
{
	char conninfo[64];

	snprintf(conninfo, sizeof conninfo, "application_name='%s'", name);
	return PQconnectdb(conninfo);
}

static void *work(void *argument)
{
	int me = (int)(size_t)argument;
	char name[32];

	snprintf(name, sizeof name, "thread %d", me);
	while (!atomic_load(&stop)) {
		PGconn *conn = of_threads[me] = open_as(name);

		for (int i = 0; i < 5; i++)
			atomic_fetch_add(is_right(conn, name) ? &right : &wrong, 1);
		PQsocket(conn);
		/* The more often something is locked, the more forks come at such a moment. */
		for (int i = 0; i < 200; i++)
			PQfreeCancel(PQgetCancel(conn));
		PQfinish(conn);
		for (int i = 0; i < 20; i++)
			PQfinish(open_as(name));
	}
	return NULL;
}

/* 0 when all is well. */
static int be_child(int number, int threads)
{
	PGconn *own = open_as("child");
	int good = is_right(own, "child");

	/* In whatever state they are: what other threads use is no connection of the child's. */
	for (int i = 0; number % 2 && i < threads; i++) {
		if (of_threads[i])
			PQstatus(of_threads[i]);
		if (of_threads[i] && number % 4 == 1)
			PQfinish(of_threads[i]);
	}
	if (number % 3 == 0)
		PQfinish(own);
	PQfinish(of_main);
	return good ? 0 : 3;
}

/* Its exit status; -1 when it had to be killed. */
static int await(pid_t child)
{
	time_t end = time(NULL) + DEADLINE_S;
	int status = 0;

	while (waitpid(child, &status, WNOHANG) == 0) {
		if (time(NULL) > end) {
			kill(child, SIGKILL);
			waitpid(child, NULL, 0);
			return -1;
		}
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void *run_statement(void *conn)
{
	PGresult *result = PQexec(conn, "SELECT 'right' FROM pg_catalog.pg_sleep(3)");

	printf("thread: %s\n", PQresultStatus(result) == PGRES_TUPLES_OK ? PQgetvalue(result, 0, 0)
									 : PQerrorMessage(conn));
	PQclear(result);
	return NULL;
}

static int fork_in_statement(void)
{
	PGconn *conn = open_as("statement");
	pthread_t id;

	pthread_create(&id, NULL, run_statement, conn);
	while (PQtransactionStatus(conn) != PQTRANS_ACTIVE)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	pid_t child = fork();
	if (child == 0) {
		PQclear(PQexec(conn, "SELECT 1"));
		printf("child: %s", PQerrorMessage(conn));
		PQfinish(conn);
		exit(0);
	}
	printf("child: %d\n", await(child));
	pthread_join(id, NULL);
	PQfinish(conn);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "statement") == 0)
		return fork_in_statement();
	int threads = argc > 1 ? atoi(argv[1]) : 0, forks = argc > 2 ? atoi(argv[2]) : 0, ended = 0;
	pthread_t ids[MOST_THREADS];

	if (threads < 1 || threads > MOST_THREADS)
		return 2;
	of_main = open_as("main");
	for (int i = 0; i < threads; i++)
		pthread_create(&ids[i], NULL, work, (void *)(size_t)i);
	for (int i = 0; i < forks; i++) {
		pid_t child = fork();

		if (child == 0)
			exit(be_child(i, threads));
		int status = await(child);
		ended += status == 0;
		if (status != 0)
			printf("child %d: %d\n", i, status);
		if (i % 10 == 0 && !is_right(of_main, "main"))
			puts("the main thread's connection is not as it was");
	}
	atomic_store(&stop, true);
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	PQfinish(of_main);
	printf("%d of %d children ended well\n", ended, forks);
	printf("%d answers of the threads wrong\n", atomic_load(&wrong));
	return ended == forks && atomic_load(&wrong) == 0 && atomic_load(&right) > 0 ? 0 : 1;
}
