/*
 * The workloads of the benchmark: plain programs of libpq, which know nothing of what stands between
 * them and the server. See main.c for how they are run.
 */
#ifndef BENCH_H
#define BENCH_H

#include <libpq-fe.h>

struct workload {
	const char *name;
	const char *arguments; /* how its usage line names them */
	int argument_count;
	void (*set_up)(char **arguments); /* NULL for nothing to do */
	void (*run)(long times);          /* this often, whatever "once" is */
};

extern const struct workload connection_workloads[], query_workloads[], thread_workloads[],
    process_workloads[];

long long bench_clock_ns(void);

/* The program's own work, of about this length; it does not count. */
void bench_pause_us(long microseconds);

/* For what the environment (PGHOST, ...) says; ends the program where there is none. */
PGconn *bench_connect(void);

/* Ends the program unless the answer is rows, or there is nothing to answer. */
void bench_query(PGconn *conn, const char *query);

__attribute__((noreturn, format(printf, 1, 2))) void bench_die(const char *format, ...);

#endif
