/* Closes its stderr, as some daemons do, and connects: the descriptor's number is then a
 * connection's. */
#include <libpq-fe.h>
#include <stdio.h>
#include <unistd.h>

#define CONNECTIONS 4

int main(void)
{
	PGconn *conns[CONNECTIONS];
	int answers = 0;

	PQconninfoFree(PQconninfoParse("host=first", NULL)); /* a call that connects to nothing */
	close(STDERR_FILENO);
	for (int i = 0; i < CONNECTIONS; i++)
		conns[i] = PQconnectdb("");
	for (int i = 0; i < CONNECTIONS; i++) {
		PGresult *result = PQexec(conns[i], "SELECT 1");

		answers += PQresultStatus(result) == PGRES_TUPLES_OK;
		PQclear(result);
	}
	printf("%d answers\n", answers);
	for (int i = 0; i < CONNECTIONS; i++)
		PQfinish(conns[i]);
	return 0;
}
