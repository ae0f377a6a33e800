/*
 * Runs one workload in slices, as told on stdin, and prints after each how long one operation took. A
 * benchmark keeps several of these processes and lets them take turns, so that what disturbs the
 * machine disturbs all of them alike.
 *
 * usage: bench WORKLOAD [ARGUMENTS]
 *        for MS       do it for so many milliseconds, and tell what most of them took
 *        times N      do it so often, and tell what one took on average
 * Prints "ready" first, then for each line nanoseconds per operation. Ends with stdin.
 */
#include "bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long long paused_ns;

long long bench_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

void bench_pause_us(long microseconds)
{
	long long began = bench_clock_ns(), now;

	do
		now = bench_clock_ns();
	while (now - began < microseconds * 1000LL);
	paused_ns += now - began;
}

void bench_die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("bench: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(1);
}

PGconn *bench_connect(void)
{
	PGconn *conn = PQconnectdb("");

	if (PQstatus(conn) != CONNECTION_OK)
		bench_die("cannot connect: %s", PQerrorMessage(conn));
	return conn;
}

void bench_query(PGconn *conn, const char *query)
{
	PGresult *result = PQexec(conn, query);
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
		bench_die("%s: %s", query, PQerrorMessage(conn));
	PQclear(result);
}

static const struct workload *find(const char *name)
{
	static const struct workload *const all[] = {
	    connection_workloads, query_workloads, thread_workloads, process_workloads};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		for (const struct workload *workload = all[i]; workload->name; workload++)
			if (strcmp(workload->name, name) == 0)
				return workload;
	return NULL;
}

static double run_times(const struct workload *workload, long times)
{
	long long began = bench_clock_ns();

	paused_ns = 0;
	workload->run(times);
	return (double)(bench_clock_ns() - began - paused_ns) / (double)times;
}

static int compare(const void *one, const void *other)
{
	long long difference = *(const long long *)one - *(const long long *)other;

	return difference < 0 ? -1 : difference > 0;
}

/* The mean of the middle half: what else runs on the machine makes some operations much longer. */
static double middle(long long *took, long count)
{
	long from = count / 4, to = count - from;
	double sum = 0;

	qsort(took, (size_t)count, sizeof *took, compare);
	for (long i = from; i < to; i++)
		sum += (double)took[i];
	return sum / (double)(to - from);
}

static double run_for(const struct workload *workload, long milliseconds)
{
	static long long took[1 << 16];
	long long began = bench_clock_ns(), until = began + milliseconds * 1000000LL, now;
	long done = 0;

	do {
		paused_ns = 0;
		workload->run(1);
		now = bench_clock_ns();
		took[done++] = now - began - paused_ns;
		began = now;
	} while (now < until && done < (long)(sizeof took / sizeof *took));
	return middle(took, done);
}

int main(int argc, char **argv)
{
	const struct workload *workload = argc > 1 ? find(argv[1]) : NULL;
	char line[64];
	long amount;

	if (!workload || workload->argument_count != argc - 2)
		bench_die("usage: bench WORKLOAD [ARGUMENTS]%s%s", workload ? ": " : "",
		    workload ? workload->arguments : "");
	if (workload->set_up)
		workload->set_up(argv + 2);
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	puts("ready");
	while (fgets(line, sizeof line, stdin)) {
		if (sscanf(line, "for %ld", &amount) == 1)
			printf("%.2f\n", run_for(workload, amount));
		else if (sscanf(line, "times %ld", &amount) == 1 && amount > 0)
			printf("%.2f\n", run_times(workload, amount));
		else
			bench_die("what is \"%s\"?", line);
	}
	return 0;
}
