/* Six sessions send at once, and one event loop collects what they get. */
#include "corpus.h"

static PGresult *collected[6][4];
static int count[6];

/* Whether the session has nothing more to give. */
static int collect(int i, PGconn *conn)
{
	PQconsumeInput(conn);
	while (!PQisBusy(conn)) {
		PGresult *result = PQgetResult(conn);

		if (!result)
			return 1;
		collected[i][count[i]++] = result;
	}
	return 0;
}

int main(void)
{
	PGconn *conns[6];
	char query[100];
	int done[6] = {0}, left = 6;

	open_sessions(conns, 6);
	for (int i = 0; i < 6; i++) {
		snprintf(query, sizeof query, "SELECT pg_sleep(0.0%d); SELECT %d; SELECT 1/%d",
		    6 - i, i, i % 2);
		printf("%s: sent %d\n", name_of(i), PQsendQuery(conns[i], query));
		memset(query, 'x', sizeof query);
		printf("%s\n", transaction_name(PQtransactionStatus(conns[i])));
	}
	while (left > 0) {
		struct pollfd descriptors[6];

		for (int i = 0; i < 6; i++)
			descriptors[i] = (struct pollfd){
			    .fd = done[i] ? -1 : PQsocket(conns[i]), .events = POLLIN};
		poll(descriptors, 6, 10000);
		for (int i = 0; i < 6; i++)
			if (descriptors[i].revents && !done[i] && collect(i, conns[i])) {
				done[i] = 1;
				left--;
			}
	}
	for (int i = 0; i < 6; i++)
		for (int k = 0; k < count[i]; k++)
			show(name_of(i), collected[i][k]);
	finish_sessions(conns, 6);
	return 0;
}
