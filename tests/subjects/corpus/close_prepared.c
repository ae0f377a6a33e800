/* PQclosePrepared, PQclosePortal (libpq 17), also sent: what is closed is closed in one session. */
/* needs: 2, for a session that may execute its unnamed statement does not move */
#include "corpus.h"

#ifdef LIBPQ_HAS_CLOSE_PREPARED
static void show_prepared(const char *who, PGconn *conn)
{
	run(who, conn, "SELECT name FROM pg_prepared_statements ORDER BY name");
}

int main(void)
{
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		show(name_of(i), PQprepare(conns[i], "p", "SELECT 1", 0, NULL));
		show(name_of(i), PQprepare(conns[i], "q", "SELECT 2", 0, NULL));
	}
	show("c", PQprepare(conns[2], "", "SELECT 3", 0, NULL));
	show("a", PQclosePrepared(conns[0], "p"));
	show("b", PQclosePrepared(conns[1], "nonsense"));
	show("c", PQclosePrepared(conns[2], ""));
	printf("sent %d\n", PQsendClosePrepared(conns[3], "q"));
	drain("d", conns[3]);
	for (int i = 0; i < COUNT(conns); i++)
		show_prepared(name_of(i), conns[i]);
	show("a", PQexecPrepared(conns[0], "p", 0, NULL, NULL, NULL, 0));
	show("b", PQexecPrepared(conns[1], "p", 0, NULL, NULL, NULL, 0));
	show("c", PQexecPrepared(conns[2], "", 0, NULL, NULL, NULL, 0));
	run("b", conns[1],
	    "BEGIN; DECLARE one CURSOR FOR SELECT 1; DECLARE two CURSOR FOR SELECT 2");
	show("b", PQclosePortal(conns[1], "one"));
	printf("sent %d\n", PQsendClosePortal(conns[1], "nonsense"));
	drain("b", conns[1]);
	run("b", conns[1], "SELECT name FROM pg_cursors");
	run("b", conns[1], "COMMIT");
	show("b", PQclosePortal(conns[1], "two"));
	show("d", PQclosePrepared(conns[3], NULL));
	show_state("d", conns[3]);
	finish_sessions(conns, COUNT(conns));
	return 0;
}
#else
NOT_IN_THIS_LIBPQ
#endif
