/* PQping and PQpingParams, between uses of sessions. */
/* beside: 2, the connections that libpq makes for itself: it does not wait for the end of one */
#include "corpus.h"

static void ping_params(const char *dbname, const char *port, int expand)
{
	const char *const keywords[] = {"dbname", "port", NULL};
	const char *const values[] = {dbname, port, NULL};

	printf("params %d\n", (int)PQpingParams(keywords, values, expand));
}

int main(void)
{
	PGconn *conns[3];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		run(name_of(i), conns[i], "SET application_name = 'pinging'");
		printf("ping %d\n", (int)PQping(""));
		ping_params(NULL, NULL, 0);
		ping_params("postgresql:///", NULL, 1);
		run(name_of(i), conns[i], "SHOW application_name");
	}
	printf("ping %d\n", (int)PQping("host=127.0.0.1 port=1"));
	printf("ping %d\n", (int)PQping("no_such_option=1"));
	printf("ping %d\n", (int)PQping("dbname=no_such_database"));
	ping_params(NULL, "1", 0);
	ping_params("sslmode=never", NULL, 1);
	finish_sessions(conns, COUNT(conns));
	return 0;
}
