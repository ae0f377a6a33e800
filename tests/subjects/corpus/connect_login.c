/* PQsetdbLogin and PQsetdb: the oldest way to connect. */
#include "corpus.h"

int main(void)
{
	const char *host = getenv("PGHOST"), *port = getenv("PGPORT");
	const char *database = getenv("PGDATABASE"), *user = getenv("PGUSER");
	PGconn *conns[] = {PQsetdbLogin(host, port, NULL, NULL, database, user, NULL),
	    PQsetdbLogin(NULL, NULL, "-c work_mem=3MB", NULL, NULL, NULL, NULL),
	    PQsetdb(host, port, NULL, NULL, database), PQsetdbLogin("", "", "", "", "", "", ""),
	    PQsetdbLogin(NULL, NULL, NULL, NULL, "application_name=string", NULL, NULL),
	    PQsetdbLogin(NULL, NULL, NULL, NULL, "no_such_database", NULL, NULL)};

	for (int round = 0; round < 2; round++)
		for (int i = 0; i < COUNT(conns); i++) {
			show_state(name_of(i), conns[i]);
			run(name_of(i), conns[i],
			    "SELECT current_user, current_setting('work_mem'), "
			    "current_setting('application_name')");
		}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
