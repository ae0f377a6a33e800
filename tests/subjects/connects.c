/*
 * Connects with each of its arguments in turn, says how that went, and closes the connection.
 *
 * usage: connects CONNINFO...
 */
#include <libpq-fe.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++) {
		PGconn *conn = PQconnectdb(argv[i]);

		if (PQstatus(conn) != CONNECTION_OK) {
			printf("%s", PQerrorMessage(conn));
			failed = 1;
		} else {
			PGresult *result = PQexec(conn, "SELECT current_user");

			printf("connected as %s\n", PQgetvalue(result, 0, 0));
			PQclear(result);
		}
		PQfinish(conn);
	}
	return failed;
}
