/*
 * A plugin that uses libpq, for a program that does not. Built more than once, under different
 * names.
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#define MOST 200

static PGconn *opened[MOST];
static int number;

int leak(int more);
int still_there(void);

static int answers(PGconn *conn, const char *sql, const char *expected)
{
	PGresult *result = PQexec(conn, sql);
	int good = PQresultStatus(result) == PGRES_TUPLES_OK &&
		   strcmp(PQgetvalue(result, 0, 0), expected) == 0;

	if (!good)
		fprintf(stderr, "%s: %s", sql, PQerrorMessage(conn));
	PQclear(result);
	return good;
}

/* Opens so many more connections, each with a state of its own; returns how many answer. */
__attribute__((visibility("default"))) int leak(int more)
{
	int good = 0;

	for (int i = 0; i < more && number < MOST; i++) {
		char sql[100], value[20];

		snprintf(value, sizeof value, "number %d", number);
		snprintf(sql, sizeof sql, "SELECT set_config('own.name', '%s', false)", value);
		opened[number] = PQconnectdb("");
		good += answers(opened[number++], sql, value);
	}
	return good;
}

/* How many of all these connections have their state still. */
__attribute__((visibility("default"))) int still_there(void)
{
	int good = 0;

	for (int i = 0; i < number; i++) {
		char value[20];

		snprintf(value, sizeof value, "number %d", i);
		good += answers(opened[i], "SELECT current_setting('own.name')", value);
	}
	return good;
}
