#include "leaky.h"

#include <stdio.h>
#include <string.h>

#define MOST 200

static PGconn *opened[MOST];
static int number;

bool runs(PGconn *conn, const char *sql)
{
	PGresult *result = PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(result);

	PQclear(result);
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		fprintf(stderr, "%s: %s", sql, PQerrorMessage(conn));
	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

const char *value_of(PGconn *conn, const char *sql)
{
	static char value[256];
	PGresult *result = PQexec(conn, sql);

	value[0] = '\0';
	if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
		snprintf(value, sizeof value, "%s", PQgetvalue(result, 0, 0));
	else
		fprintf(stderr, "%s: %s", sql, PQerrorMessage(conn));
	PQclear(result);
	return value;
}

bool leak_one(void)
{
	char sql[64];

	if (number == MOST)
		return false;
	PGconn *conn = PQconnectdb("");
	if (PQstatus(conn) != CONNECTION_OK) {
		fprintf(stderr, "%s", PQerrorMessage(conn));
		return false;
	}
	snprintf(sql, sizeof sql, "SET work_mem = '%dMB'", number + 1);
	opened[number++] = conn;
	return runs(conn, sql);
}

bool all_as_left(void)
{
	for (int i = 0; i < number; i++) {
		char expected[16];

		snprintf(expected, sizeof expected, "%dMB", i + 1);
		if (strcmp(value_of(opened[i], "SHOW work_mem"), expected) != 0)
			return false;
	}
	return true;
}
