/* PQconnectStartParams, finished half-way, polled to its end, and used at once afterwards. */
#include "corpus.h"

static PGconn *start(const char *dbname)
{
	const char *const keywords[] = {"dbname", "fallback_application_name", NULL};
	const char *const values[] = {dbname, "corpus", NULL};

	return PQconnectStartParams(keywords, values, 1);
}

static void complete(PGconn *conn)
{
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;

	while (status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED) {
		struct pollfd descriptor = {.fd = PQsocket(conn),
		    .events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT};

		poll(&descriptor, 1, 10000);
		status = PQconnectPoll(conn);
	}
}

int main(void)
{
	PGconn *conns[] = {start(NULL), start("application_name=named"), start("dbname=nowhere")};

	PGconn *given_up = start(NULL);
	PQfinish(given_up);
	for (int i = 0; i < COUNT(conns); i++) {
		complete(conns[i]);
		show_state(name_of(i), conns[i]);
	}
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < COUNT(conns); i++)
			run(name_of(i), conns[i], "SELECT current_setting('application_name')");
	finish_sessions(conns, COUNT(conns));
	return 0;
}
