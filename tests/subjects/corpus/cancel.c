/* PQcancel, with an object made at connect and one made when the statement runs. */
#include "corpus.h"

static void cancel_sleep(const char *who, PGconn *conn, PGcancel *made_at_connect)
{
	char error[256] = "";

	begin_sleep(who, conn);
	PGcancel *cancel = made_at_connect ? made_at_connect : PQgetCancel(conn);
	printf("%s: cancelled %d [%s]\n", who, PQcancel(cancel, error, sizeof error), error);
	drain(who, conn);
	show_state(who, conn);
	if (!made_at_connect)
		PQfreeCancel(cancel);
}

int main(void)
{
	PGconn *conns[4];
	PGcancel *cancels[COUNT(conns)];
	char error[256] = "";

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		hush(conns[i]);
		cancels[i] = PQgetCancel(conns[i]);
		printf("%s: cancel object %d\n", name_of(i), cancels[i] != NULL);
	}
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < COUNT(conns); i++) {
			run(name_of(i), conns[i], "SELECT 'before'");
			cancel_sleep(name_of(i), conns[i], round ? cancels[i] : NULL);
			run(name_of(i), conns[i], "SELECT 'after'");
		}
	/* Long after the statement. */
	for (int i = 0; i < COUNT(conns); i++) {
		printf("idle %d\n", PQcancel(cancels[i], error, sizeof error));
		PQfreeCancel(cancels[i]);
	}
	printf("nothing %d [%s]\n", PQcancel(NULL, error, sizeof error), error);
	PQfreeCancel(NULL);
	finish_sessions(conns, COUNT(conns));
	return 0;
}
