/* PQconnectStart and PQconnectPoll: four connects at once in one event loop. */
#include "corpus.h"

static const char *const results[] = {"failed", "reading", "writing", "ok", "active"};

static void finish_connect(const char *who, PGconn *conn)
{
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;

	while (status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED) {
		struct pollfd descriptor = {.fd = PQsocket(conn),
		    .events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT};

		poll(&descriptor, 1, 10000);
		status = PQconnectPoll(conn);
	}
	printf("%s: %s\n", who, results[status]);
	show_state(who, conn);
}

int main(void)
{
	PGconn *conns[4];

	for (int i = 0; i < COUNT(conns); i++) {
		conns[i] = PQconnectStart("");
		printf("begun, bad: %d\n", PQstatus(conns[i]) == CONNECTION_BAD);
	}
	/* Each uses and ends its connection: all four never need to live at once. */
	for (int i = 0; i < COUNT(conns); i++) {
		finish_connect(name_of(i), conns[i]);
		run(name_of(i), conns[i], "SELECT 'hello'");
		printf("poll when connected: %s\n", results[PQconnectPoll(conns[i])]);
	}
	for (int i = 0; i < COUNT(conns); i++)
		run(name_of(i), conns[i], "SELECT 'again'");
	finish_sessions(conns, COUNT(conns));

	PGconn *failed = PQconnectStart("dbname=no_such_database");
	finish_connect("failed", failed);
	PQfinish(failed);
	PGconn *bad = PQconnectStart("no_such_option=1");
	show_state("bad", bad);
	printf("poll: %s, socket %d\n", results[PQconnectPoll(bad)], PQsocket(bad));
	PQfinish(bad);
	return 0;
}
