/*
 * Workloads of threads that query at the same time: each on a connection of its own, or all on a few
 * that they share, as a program does that has a pool by hand.
 */
#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#define MOST 64

struct place {
	PGconn *conn;
	pthread_mutex_t lock;
};

static struct place places[MOST];
static long thread_count, place_count;
static atomic_ulong turn;

static long number(const char *text)
{
	long value = atol(text);

	if (value < 1 || value > MOST)
		bench_die("\"%s\" is not a number from 1 to %d", text, MOST);
	return value;
}

static void open_places(void)
{
	for (long i = 0; i < place_count; i++) {
		places[i].conn = bench_connect();
		pthread_mutex_init(&places[i].lock, NULL);
		bench_query(places[i].conn, "SELECT 1");
	}
}

static void set_up_own(char **arguments)
{
	thread_count = place_count = number(arguments[0]);
	open_places();
}

static void set_up_shared(char **arguments)
{
	thread_count = number(arguments[0]);
	place_count = number(arguments[1]);
	open_places();
}

struct share {
	pthread_t thread;
	PGconn *own;
	long times;
};

static void *query_own(void *argument)
{
	const struct share *share = argument;

	for (long i = 0; i < share->times; i++)
		bench_query(share->own, "SELECT 1");
	return NULL;
}

static void *query_shared(void *argument)
{
	const struct share *share = argument;

	for (long i = 0; i < share->times; i++) {
		struct place *place =
		    &places[atomic_fetch_add(&turn, 1) % (unsigned long)place_count];

		pthread_mutex_lock(&place->lock);
		bench_query(place->conn, "SELECT 1");
		pthread_mutex_unlock(&place->lock);
	}
	return NULL;
}

static void run(long times, void *(*work)(void *))
{
	struct share shares[MOST];

	for (long i = 0; i < thread_count; i++) {
		shares[i].own = places[i].conn;
		shares[i].times = times / thread_count + (i < times % thread_count);
		if (pthread_create(&shares[i].thread, NULL, work, &shares[i]) != 0)
			bench_die("cannot start a thread");
	}
	for (long i = 0; i < thread_count; i++)
		pthread_join(shares[i].thread, NULL);
}

static void own(long times)
{
	run(times, query_own);
}

static void shared(long times)
{
	run(times, query_shared);
}

const struct workload thread_workloads[] = {
    {"threads_own", "THREADS", 1, set_up_own, own},
    {"threads_shared", "THREADS CONNECTIONS", 2, set_up_shared, shared},
    {.name = NULL},
};
