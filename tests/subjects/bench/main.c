/*
 * Runs one workload in slices, as told on stdin, and prints after each how long one operation took. A
 * benchmark keeps several of these processes and lets them take turns, so that what disturbs the
 * machine disturbs all of them alike.
 *
 * usage: bench WORKLOAD [ARGUMENTS]
 *        for MS       do it for so many milliseconds
 *        times N      do it so often
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

static double run_for(const struct workload *workload, long milliseconds)
{
	long long began = bench_clock_ns(), until = began + milliseconds * 1000000LL, now;
	long done = 0;

	paused_ns = 0;
	do {
		workload->run(1);
		done++;
		now = bench_clock_ns();
	} while (now < until);
	return (double)(now - began - paused_ns) / (double)done;
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
