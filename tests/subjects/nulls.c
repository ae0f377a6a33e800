/*
 * Calls what makes and takes a connection with NULL where something should be, and says what comes
 * of it.
 *
 * usage: nulls connectdb|connectStart|keywords|values|startParams|login|conn
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

static const char *const keywords[] = {"dbname", NULL};
static const char *const values[] = {"postgres", NULL};

static PGconn *open_connection(const char *how)
{
	if (strcmp(how, "connectdb") == 0)
		return PQconnectdb(NULL);
	if (strcmp(how, "connectStart") == 0)
		return PQconnectStart(NULL);
	if (strcmp(how, "keywords") == 0)
		return PQconnectdbParams(NULL, values, 0);
	if (strcmp(how, "values") == 0)
		return PQconnectdbParams(keywords, NULL, 1);
	if (strcmp(how, "startParams") == 0)
		return PQconnectStartParams(NULL, NULL, 0);
	if (strcmp(how, "login") == 0)
		return PQsetdbLogin(NULL, NULL, NULL, NULL, NULL, NULL, NULL);
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	PGconn *conn = open_connection(argv[1]);
	printf("%s connection, status %d\n", conn ? "a" : "no", PQstatus(conn));
	printf("message: %s\n", PQerrorMessage(conn));
	PGresult *result = PQexec(conn, "SELECT 1");
	printf("result: %s\n", PQresStatus(PQresultStatus(result)));
	PQclear(result);
	printf("socket %s, pid %d\n", PQsocket(conn) < 0 ? "none" : "some", PQbackendPID(conn) > 0);
	printf("database %s\n", PQdb(conn) ? PQdb(conn) : "(null)");
	PQreset(conn);
	printf("reset, status %d, poll %d\n", PQstatus(conn), PQresetPoll(conn));
	PQfinish(conn);
	return 0;
}
