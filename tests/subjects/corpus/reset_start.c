/* PQresetStart and PQresetPoll. */
#include "corpus.h"

static void reset(const char *who, PGconn *conn)
{
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;

	printf("%s: reset begun %d\n", who, PQresetStart(conn));
	while (status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED) {
		struct pollfd descriptor = {.fd = PQsocket(conn),
		    .events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT};

		poll(&descriptor, 1, 10000);
		status = PQresetPoll(conn);
	}
	show_state(who, conn);
}

int main(void)
{
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++)
		run(name_of(i), conns[i], "SET application_name = 'before'");
	for (int i = 0; i < COUNT(conns); i += 2)
		reset(name_of(i), conns[i]);
	for (int i = 0; i < COUNT(conns); i++)
		run(name_of(i), conns[i], "SHOW application_name");
	finish_sessions(conns, COUNT(conns));
	PGconn *failed = PQconnectdb("dbname=no_such_database");
	reset("failed", failed);
	PQfinish(failed);
	return 0;
}
