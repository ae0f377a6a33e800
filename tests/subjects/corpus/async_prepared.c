/* PQsendPrepare, PQsendQueryPrepared, PQsendDescribePrepared and PQsendDescribePortal. */
#include "corpus.h"

int main(void)
{
	PGconn *conns[4];
	char query[64];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		snprintf(query, sizeof query, "SELECT $1::int * 10 + %d AS r", i);
		printf("%s: %d\n", name_of(i), PQsendPrepare(conns[i], "p", query, 0, NULL));
		drain(name_of(i), conns[i]);
	}
	for (int i = 0; i < COUNT(conns); i++) {
		printf("%s: %d\n", name_of(i), PQsendDescribePrepared(conns[i], "p"));
		drain(name_of(i), conns[i]);
	}
	for (int i = 0; i < COUNT(conns); i++) {
		char value[8] = "4";
		const char *values[] = {value};

		printf("%s: %d\n", name_of(i),
		    PQsendQueryPrepared(conns[i], "p", 1, values, NULL, NULL, 0));
		memset(value, 0, sizeof value);
		drain(name_of(i), conns[i]);
		printf("%s: %d\n", name_of(i),
		    PQsendQueryPrepared(conns[i], "none", 0, NULL, NULL, NULL, 0));
		drain(name_of(i), conns[i]);
		run(name_of(i), conns[i], "BEGIN; DECLARE cur CURSOR FOR SELECT 1 AS one");
		printf("%s: %d\n", name_of(i), PQsendDescribePortal(conns[i], "cur"));
		drain(name_of(i), conns[i]);
		run(name_of(i), conns[i], "COMMIT");
		printf("%s: %d\n", name_of(i), PQsendDescribePortal(conns[i], "cur"));
		drain(name_of(i), conns[i]);
		show_state(name_of(i), conns[i]);
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
