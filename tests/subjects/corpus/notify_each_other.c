/* Two sessions that listen, and wait for each other's notifications. */
/* needs: 2, for LISTEN cannot move */
#include "corpus.h"

static void show_notification(const char *who, PGconn *conn)
{
	PGnotify *notification;

	while (!(notification = PQnotifies(conn))) {
		wait_for_input(conn);
		if (!PQconsumeInput(conn)) {
			show_state(who, conn);
			exit(1);
		}
	}
	printf("%s: %s [%s]\n", who, notification->relname, notification->extra);
	PQfreemem(notification);
}

/* What was never sent is not waited for. */
static void notify(const char *who, PGconn *conn, const char *query)
{
	PGresult *result = PQexec(conn, query);

	show_result(who, result);
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		exit(1);
	PQclear(result);
}

int main(void)
{
	PGconn *conns[2];

	open_sessions(conns, COUNT(conns));
	run("a", conns[0], "LISTEN to_a");
	run("b", conns[1], "LISTEN to_b");
	for (int i = 0; i < 5; i++) {
		notify("a", conns[0], "SELECT pg_notify('to_b', 'a greets b')");
		show_notification("b", conns[1]);
		notify("b", conns[1], "SELECT pg_notify('to_a', 'b greets a')");
		show_notification("a", conns[0]);
	}
	run("a", conns[0], "SELECT pg_listening_channels()");
	run("b", conns[1], "SELECT pg_listening_channels()");
	finish_sessions(conns, COUNT(conns));
	return 0;
}
