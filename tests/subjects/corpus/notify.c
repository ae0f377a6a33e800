/* LISTEN and NOTIFY, one session at a time: the notifications, in order, and none of another
 * channel. */
#include "corpus.h"

static void show_notifications(const char *who, PGconn *conn)
{
	PGnotify *notification;
	int count = 0;

	PQconsumeInput(conn);
	while ((notification = PQnotifies(conn))) {
		printf("%s: %s [%s] from itself %d\n", who, notification->relname,
		    notification->extra, notification->be_pid == PQbackendPID(conn));
		PQfreemem(notification);
		count++;
	}
	printf("%s: %d notifications\n", who, count);
}

int main(void)
{
	for (int i = 0; i < 4; i++) {
		PGconn *conn = open_session("");
		const char *who = name_of(i);

		run(who, conn, "LISTEN one");
		run(who, conn, "LISTEN two");
		show_notifications(who, conn);
		run(who, conn, "NOTIFY one, 'first'; NOTIFY two; NOTIFY three, 'never heard'");
		run(who, conn, "SELECT pg_listening_channels()");
		show_notifications(who, conn);
		run(who, conn, "BEGIN; NOTIFY one, 'not'; ROLLBACK");
		run(who, conn, "UNLISTEN one");
		run(who, conn, "NOTIFY one, 'nobody'; NOTIFY two, 'somebody'");
		show_notifications(who, conn);
		run(who, conn, "UNLISTEN *");
		run(who, conn, "NOTIFY two, 'nobody'");
		show_notifications(who, conn);
		PQfinish(conn);
	}
	return 0;
}
