/* What the program constructors.c and the library that it opens (preloads/connects_early.c) share. */
#ifndef CONSTRUCTORS_H
#define CONSTRUCTORS_H

#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { NOTHING, CONSTRUCTOR_RUNS, THREAD_CONNECTS };

/* The program's; what each of the two has come to. */
extern atomic_int stage;

static inline void wait_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* Connect, and say what came of it. */
static inline void tell(const char *who)
{
	PGconn *conn = PQconnectdb("");

	printf(
	    "%s: %s\n", who, PQstatus(conn) == CONNECTION_OK ? "connected" : PQerrorMessage(conn));
	fflush(stdout);
	PQfinish(conn);
}

#endif
