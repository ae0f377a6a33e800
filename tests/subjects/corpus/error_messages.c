/* A session's last error stays as it is, text and address, until its own next command. */
#include "corpus.h"

int main(void)
{
	PGconn *conns[4];
	const char *messages[COUNT(conns)];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++)
		printf("%s: [%s]\n", name_of(i), PQerrorMessage(conns[i]));
	for (int i = 0; i < COUNT(conns); i++) {
		char query[40];

		snprintf(query, sizeof query, "SELECT no_such_%.1s", name_of(i));
		PQclear(PQexec(conns[i], query));
		messages[i] = PQerrorMessage(conns[i]);
	}
	for (int i = 0; i < COUNT(conns); i++) {
		printf("%s: %s", name_of(i), messages[i]);
		printf("%s: %s", name_of(i), PQerrorMessage(conns[i]));
		printf("%s: %s, socket %d\n", name_of(i),
		    transaction_name(PQtransactionStatus(conns[i])), PQsocket(conns[i]) >= 0);
		printf("%s: %s", name_of(i), messages[i]);
		run(name_of(i), conns[i], "SELECT 'well'");
		printf("%s: [%s]\n", name_of(i), PQerrorMessage(conns[i]));
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
