/* PQconnectdbParams: arrays, with and without a connection string as dbname. */
#include "corpus.h"

static PGconn *connect_to(const char *dbname, const char *name, int expand)
{
	const char *const keywords[] = {"dbname", "application_name", "client_encoding", NULL};
	const char *const values[] = {dbname, name, "LATIN1", NULL};
	PGconn *conn = PQconnectdbParams(keywords, values, expand);

	show_state(name, conn);
	return conn;
}

int main(void)
{
	const char *database = getenv("PGDATABASE");
	PGconn *conns[] = {connect_to(database, "plain", 0), connect_to(database, "expanded", 1),
	    connect_to("application_name=inner", "string", 1), connect_to(NULL, "none", 1),
	    connect_to("postgresql:///", "uri", 1)};

	for (int round = 0; round < 2; round++)
		for (int i = 0; i < COUNT(conns); i++) {
			run(name_of(i), conns[i],
			    "SELECT current_setting('application_name'), chr(233)");
			printf("encoding %d\n", PQclientEncoding(conns[i]));
		}
	finish_sessions(conns, COUNT(conns));
	PGconn *failed = connect_to("application_name=x", "unexpanded", 0);
	run("unexpanded", failed, "SELECT 1");
	PQfinish(failed);
	return 0;
}
