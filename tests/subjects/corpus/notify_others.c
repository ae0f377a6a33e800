/* Sessions that come and go notify one that listens. */
/* needs: 2, for LISTEN cannot move */
#include "corpus.h"

int main(void)
{
	PGconn *listener = open_session("");
	PGconn *conns[4];

	run("listener", listener, "LISTEN news");
	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		PGnotify *notification;

		run(name_of(i), conns[i], "NOTIFY news, 'one of many'");
		run("listener", listener, "SELECT 'still here'");
		while ((notification = PQnotifies(listener))) {
			printf("%s [%s]\n", notification->relname, notification->extra);
			PQfreemem(notification);
		}
		printf("none for %s: %d\n", name_of(i), PQnotifies(conns[i]) == NULL);
	}
	finish_sessions(conns, COUNT(conns));
	PQfinish(listener);
	return 0;
}
