/* Notices that nobody asked for go to stderr. */
#include "corpus.h"

int main(void)
{
	PGconn *conns[4];

	prepare_database("");
	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		run(name_of(i), conns[i], "DROP TABLE IF EXISTS nowhere");
		run(name_of(i), conns[i], "COMMIT");
		run(name_of(i), conns[i], "DO $$ BEGIN RAISE WARNING 'from a block'; END $$");
	}
	run("a", conns[0], "SET client_min_messages = error");
	run("a", conns[0], "COMMIT");
	run("b", conns[1], "COMMIT");
	PQgetvalue(NULL, 0, 0);
	PGresult *result = PQexec(conns[2], "SELECT 1");
	PQgetvalue(result, 5, 5);
	PQclear(result);
	finish_sessions(conns, COUNT(conns));
	return 0;
}
