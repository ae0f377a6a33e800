/* PQconnectdb: connection strings, URIs, and what they say of the session. */
#include "corpus.h"

int main(void)
{
	static const char *const ways[] = {"", "application_name=one",
	    "postgresql:///?application_name=two%20words", "postgres://?options=-cwork_mem%3D1MB",
	    "options='-c statement_timeout=9s -c DateStyle=German'",
	    "application_name='it''s' fallback_application_name=none"};
	PGconn *conns[COUNT(ways)];

	for (int i = 0; i < COUNT(ways); i++) {
		conns[i] = PQconnectdb(ways[i]);
		show_state(ways[i], conns[i]);
	}
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < COUNT(ways); i++)
			run(ways[i], conns[i],
			    "SELECT current_setting('application_name'), "
			    "current_setting('work_mem'), current_setting('statement_timeout'), "
			    "date '2024-02-03'");
	finish_sessions(conns, COUNT(ways));
	return 0;
}
