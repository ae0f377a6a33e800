/* Large parameters, sent without blocking on several sessions at once. */
#include "corpus.h"

#define BYTES 3000000

static char value[BYTES + 1];

/* Once all is sent, it need not be asked again. */
static int needs_flush(PGconn *conn, int *sent)
{
	int answer = *sent ? 0 : PQflush(conn);

	if (answer < 0)
		printf("flush: %s", PQerrorMessage(conn));
	*sent = answer == 0;
	return answer == 1;
}

/* All of them, until each has its result. */
static void collect(PGconn **conns, PGresult **results, int count)
{
	int sent[8] = {0};

	for (int open = count; open > 0;) {
		struct pollfd wanted[8];

		for (int i = 0; i < count; i++) {
			wanted[i].fd = results[i] ? -1 : PQsocket(conns[i]);
			wanted[i].events = (short)(!results[i] && needs_flush(conns[i], &sent[i])
						       ? POLLIN | POLLOUT
						       : POLLIN);
		}
		if (poll(wanted, (nfds_t)count, 10000) <= 0) {
			printf("nothing for ten seconds\n");
			return;
		}
		for (int i = 0; i < count; i++) {
			if (results[i] || !wanted[i].revents || !PQconsumeInput(conns[i]) ||
			    PQisBusy(conns[i]))
				continue;
			results[i] = PQgetResult(conns[i]);
			PQclear(PQgetResult(conns[i]));
			open--;
		}
	}
}

int main(void)
{
	const char *values[] = {value};
	PGresult *results[4] = {NULL};
	PGconn *conns[4];

	memset(value, 'x', BYTES);
	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		PQsetnonblocking(conns[i], 1);
		printf("sent %d\n", PQsendQueryParams(conns[i], "SELECT length($1)", 1, NULL,
					values, NULL, NULL, 0));
	}
	collect(conns, results, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++)
		show(name_of(i), results[i]);
	finish_sessions(conns, COUNT(conns));
	return 0;
}
