/* Results that the program makes itself: they have the session's notice processor. */
#include "corpus.h"

static void tell(void *argument, const char *message)
{
	printf("%s is told: %s", (const char *)argument, message);
}

static void make(const char *who, PGconn *conn)
{
	PGresAttDesc columns[] = {{.name = "made", .typid = 25, .typlen = -1, .atttypmod = -1}};
	PGresult *result = PQmakeEmptyPGresult(conn, PGRES_TUPLES_OK);

	printf("columns %d\n", PQsetResultAttrs(result, COUNT(columns), columns));
	printf("value %d\n", PQsetvalue(result, 0, 0, (char *)"by hand", 7));
	printf("no value %d\n", PQsetvalue(result, 5, 0, (char *)"too far", 7));
	printf("not there %s\n", text(PQgetvalue(result, 7, 0)));
	printf("fired %d\n", PQfireResultCreateEvents(conn, result));
	show(who, result);
	show(who, PQmakeEmptyPGresult(conn, PGRES_EMPTY_QUERY));
}

int main(void)
{
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		PQsetNoticeProcessor(conns[i], tell, (void *)name_of(i));
		show(name_of(i), PQmakeEmptyPGresult(conns[i], PGRES_FATAL_ERROR));
		make(name_of(i), conns[i]);
		run(name_of(i), conns[i], "SELECT no_such_column");
	}
	for (int i = 0; i < COUNT(conns); i++)
		make(name_of(i), conns[i]);
	finish_sessions(conns, COUNT(conns));
	show("no session", PQmakeEmptyPGresult(NULL, PGRES_COMMAND_OK));
	return 0;
}
