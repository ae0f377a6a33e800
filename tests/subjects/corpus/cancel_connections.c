/* PQcancelCreate (libpq 17): to wait for, to poll, to use again, and made while idle. */
/* needs: 2, for a session with a cancel connection does not move */
#include "corpus.h"

#ifdef LIBPQ_HAS_ASYNC_CANCEL
static void show_cancel(const char *what, const PGcancelConn *cancel)
{
	printf("%s: status %d, socket %d, error [%s]\n", what, (int)PQcancelStatus(cancel),
	    PQcancelSocket(cancel) >= 0, PQcancelErrorMessage(cancel));
}

static void cancel_by_polling(PGcancelConn *cancel)
{
	printf("started %d\n", PQcancelStart(cancel));
	for (PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;
	     wanted != PGRES_POLLING_OK && wanted != PGRES_POLLING_FAILED;
	     wanted = PQcancelPoll(cancel)) {
		struct pollfd descriptor = {.fd = PQcancelSocket(cancel),
		    .events = wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT};

		poll(&descriptor, 1, 10000);
	}
	show_cancel("polled", cancel);
}

int main(void)
{
	PGconn *conns[2];
	PGcancelConn *cancels[COUNT(conns)];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		hush(conns[i]);
		cancels[i] = PQcancelCreate(conns[i]);
		show_cancel("made", cancels[i]);
	}
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < COUNT(conns); i++) {
			begin_sleep(name_of(i), conns[i]);
			if (round)
				cancel_by_polling(cancels[i]);
			else
				printf("cancelled %d\n", PQcancelBlocking(cancels[i]));
			drain(name_of(i), conns[i]);
			show_cancel("done", cancels[i]);
			printf("twice %d\n", PQcancelStart(cancels[i]));
			PQcancelReset(cancels[i]);
			show_cancel("reset", cancels[i]);
			run(name_of(i), conns[i], "SELECT 'after'");
		}
	for (int i = 0; i < COUNT(conns); i++) {
		printf("idle %d\n", PQcancelBlocking(cancels[i]));
		PQcancelFinish(cancels[i]);
	}
	PQcancelFinish(NULL);
	finish_sessions(conns, COUNT(conns));
	return 0;
}
#else
NOT_IN_THIS_LIBPQ
#endif
