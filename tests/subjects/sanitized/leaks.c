/*
 * Leaks connections in threads; built with AddressSanitizer and with ThreadSanitizer, whose
 * runtimes look at everything first.
 *
 * usage: leaks NUMBER [overflow]
 *   overflow  read behind an allocation at the end, to be caught
 */
#include <libpq-fe.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 4

static int number;

static void *leak(void *unused)
{
	long answered = 0;

	for (int i = 0; i < number; i++) {
		PGresult *result = PQexec(PQconnectdb(""), "SELECT 1");

		answered += PQresultStatus(result) == PGRES_TUPLES_OK;
		PQclear(result);
	}
	return unused ? unused : (void *)answered;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	long answered = 0;

	setbuf(stdout, NULL);
	number = argc > 1 ? atoi(argv[1]) : 0;
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, leak, NULL);
	for (int i = 0; i < THREADS; i++) {
		void *part;

		pthread_join(threads[i], &part);
		answered += (long)part;
	}
	printf("%ld answered\n", answered);
	if (argc > 2) {
		char *copy = strdup(argv[1]);

		printf("%d\n", copy[strlen(copy) + (size_t)argc - 2]);
		free(copy);
	}
	return 0;
}
