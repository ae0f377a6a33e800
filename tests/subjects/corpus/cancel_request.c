/* PQrequestCancel, in a transaction and out of one. */
#include "corpus.h"

static void say_nothing(void *argument, const char *message)
{
	(void)argument;
	(void)message;
}

static void cancel_sleep(const char *who, PGconn *conn)
{
	static const char sleep_long[] =
	    "DO $$ BEGIN RAISE NOTICE 'begun'; PERFORM pg_sleep(20); END $$";

	printf("%s: sent %d\n", who, PQsendQuery(conn, sleep_long));
	wait_for_input(conn);
	printf("%s: cancelled %d\n", who, PQrequestCancel(conn));
	drain(who, conn);
	show_state(who, conn);
}

int main(void)
{
	PGconn *conns[3];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		PQsetNoticeProcessor(conns[i], say_nothing, NULL);
		/* Whether it already sleeps is chance. */
		PQsetErrorContextVisibility(conns[i], PQSHOW_CONTEXT_NEVER);
		cancel_sleep(name_of(i), conns[i]);
		run(name_of(i), conns[i], "BEGIN");
		cancel_sleep(name_of(i), conns[i]);
		run(name_of(i), conns[i], "SELECT 'not now'");
		run(name_of(i), conns[i], "ROLLBACK");
		run(name_of(i), conns[i], "SELECT 'now'");
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
