/* Verbosity and context of messages are a session's own, and outlast PQreset. */
#include "corpus.h"

static void fail(const char *who, PGconn *conn)
{
	PGresult *result = PQexec(conn, "DO $$ BEGIN PERFORM 1/0; END $$");
	char *verbose =
	    PQresultVerboseErrorMessage(result, PQERRORS_SQLSTATE, PQSHOW_CONTEXT_NEVER);

	printf("%s: %s", who, PQresultErrorMessage(result));
	printf("%s: %s", who, verbose);
	printf("%s: %s", who, PQerrorMessage(conn));
	PQfreemem(verbose);
	PQclear(result);
}

int main(void)
{
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++)
		printf("%s: was %d, %d\n", name_of(i),
		    (int)PQsetErrorVerbosity(conns[i], (PGVerbosity)i),
		    (int)PQsetErrorContextVisibility(conns[i], (PGContextVisibility)((i + 1) % 3)));
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < COUNT(conns); i++) {
			fail(name_of(i), conns[i]);
			if (round == 1)
				PQreset(conns[i]);
		}
	for (int i = 0; i < COUNT(conns); i++)
		printf("%s: was %d, %d\n", name_of(i),
		    (int)PQsetErrorVerbosity(conns[i], PQERRORS_DEFAULT),
		    (int)PQsetErrorContextVisibility(conns[i], PQSHOW_CONTEXT_ERRORS));
	finish_sessions(conns, COUNT(conns));
	return 0;
}
