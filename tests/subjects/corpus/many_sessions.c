/* Thirty sessions that take turns, each with something of its own. */
#include "corpus.h"

int main(void)
{
	PGconn *conns[30];
	char query[64];

	prepare_database("CREATE TABLE log (n serial, who int)");
	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		snprintf(query, sizeof query, "SET application_name = 'session %d'", i);
		PQclear(PQexec(conns[i], query));
	}
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < COUNT(conns); i++) {
			int which = (i * 7 + round) % COUNT(conns);

			snprintf(query, sizeof query, "INSERT INTO log (who) VALUES (%d)", which);
			PQclear(PQexec(conns[which], query));
			run("session", conns[which], "SHOW application_name");
			if (i % 10 == 9) {
				PQfinish(conns[which]);
				conns[which] = open_session("");
			}
		}
	run("count", conns[0], "SELECT who, count(*) FROM log GROUP BY who ORDER BY who");
	finish_sessions(conns, COUNT(conns));
	return 0;
}
