/*
 * A program that closes descriptors it knows nothing of, as daemons do, between two connections; and
 * opens files of its own in their place.
 *
 * usage: closes FILE    the file gets as many numbers as a process may have up to 1100
 */
#include <fcntl.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <unistd.h>

static int ask(void)
{
	PGconn *conn = PQconnectdb("");
	PGresult *result = PQexec(conn, "SELECT 1");
	int good = PQresultStatus(result) == PGRES_TUPLES_OK;

	PQclear(result);
	if (!good)
		printf("%s", PQerrorMessage(conn));
	return good;
}

int main(int argc, char **argv)
{
	int good = ask();

	if (argc != 2)
		return 2;
	/* The connection's own stays. */
	for (int descriptor = 20; descriptor < 2000; descriptor++)
		close(descriptor);
	int file = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0600);
	for (int descriptor = 20; descriptor < 1100; descriptor++)
		dup2(file, descriptor);
	good &= ask();
	return good ? 0 : 1;
}
