/* Event procedures and results: copies, results that the program makes, data kept in them. */
/* needs: 2, for a session with event procedures does not move */
#include "corpus.h"

static const char *event_name(PGEventId id)
{
	static const char *const names[] = {
	    "register", "connreset", "conndestroy", "resultcreate", "resultcopy", "resultdestroy"};

	return names[id];
}

static int tell(PGEventId id, void *info, void *argument)
{
	printf("%s: %s\n", (const char *)argument, event_name(id));
	if (id == PGEVT_RESULTCREATE)
		PQresultSetInstanceData(
		    ((PGEventResultCreate *)info)->result, tell, (void *)"as created");
	if (id == PGEVT_RESULTCOPY) {
		const PGEventResultCopy *copy = info;

		printf("from %s\n", text(PQresultInstanceData(copy->src, tell)));
		PQresultSetInstanceData(copy->dest, tell, (void *)"as copied");
	}
	if (id == PGEVT_RESULTDESTROY)
		printf("data %s\n",
		    text(PQresultInstanceData(((PGEventResultDestroy *)info)->result, tell)));
	return 1;
}

static void use_results(const char *who, PGconn *conn, PGconn *other)
{
	PGresult *result = PQexec(conn, "SELECT generate_series(1, 3) AS n");
	PGresult *copy = PQcopyResult(result,
	    PG_COPYRES_ATTRS | PG_COPYRES_TUPLES | PG_COPYRES_EVENTS | PG_COPYRES_NOTICEHOOKS);
	PGresult *bare = PQcopyResult(result, PG_COPYRES_ATTRS);
	PGresult *made = PQmakeEmptyPGresult(conn, PGRES_TUPLES_OK);

	printf("data %s\n", text(PQresultInstanceData(result, tell)));
	printf("data %s\n", text(PQresultInstanceData(copy, tell)));
	printf("data %s\n", text(PQresultInstanceData(bare, tell)));
	printf("fired %d\n", PQfireResultCreateEvents(conn, made));
	printf("set %d\n", PQresultSetInstanceData(made, tell, (void *)"as set"));
	printf("not known %d\n", PQresultSetInstanceData(bare, tell, (void *)"as set"));
	PQclear(result);
	run(who, other, "SELECT 'between'");
	show("copy", copy);
	show("bare", bare);
	show("made", made);
}

int main(void)
{
	PGconn *other = open_session("");

	for (int i = 0; i < 4; i++) {
		PGconn *conn = open_session("");

		printf(
		    "registered %d\n", PQregisterEventProc(conn, tell, "tell", (void *)name_of(i)));
		use_results(name_of(i), conn, other);
		/* A result outlives its session. */
		PGresult *last = PQexec(conn, "SELECT 'last'");
		PQfinish(conn);
		run("other", other, "SELECT 'between'");
		show("last", last);
	}
	PQfinish(other);
	return 0;
}
