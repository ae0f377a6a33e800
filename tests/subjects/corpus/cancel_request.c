/* PQrequestCancel, in a transaction and out of one. */
#include "corpus.h"

static void cancel_sleep(const char *who, PGconn *conn)
{

	begin_sleep(who, conn);
	printf("%s: cancelled %d\n", who, PQrequestCancel(conn));
	drain(who, conn);
	show_state(who, conn);
}

int main(void)
{
	PGconn *conns[3];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		hush(conns[i]);
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
