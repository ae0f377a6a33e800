/* What epoll knows of a connection before and after PQreset, which ends it: it is told again. */
#include "corpus.h"

#include <errno.h>
#include <sys/epoll.h>

static const char *told(int epoll, int operation, PGconn *conn, void *who)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = who};

	return epoll_ctl(epoll, operation, PQsocket(conn), &event) == 0 ? "done" : strerror(errno);
}

/* Whose events come while an answer is on its way. */
static void show_events(int epoll, PGconn *conn)
{
	struct epoll_event event = {0};
	PGresult *result;

	printf("sent %d\n", PQsendQuery(conn, "SELECT 1"));
	printf("%s\n", epoll_wait(epoll, &event, 1, 2000) == 1 ? (char *)event.data.ptr : "nobody");
	while ((result = PQgetResult(conn)))
		PQclear(result);
}

int main(void)
{
	int epoll = epoll_create1(0);
	PGconn *conn = PQconnectdb("");

	printf("%s\n", told(epoll, EPOLL_CTL_ADD, conn, "the first"));
	show_events(epoll, conn);
	PQreset(conn);
	printf("%s\n", told(epoll, EPOLL_CTL_MOD, conn, "the first"));
	printf("%s\n", told(epoll, EPOLL_CTL_ADD, conn, "the second"));
	show_events(epoll, conn);
	printf("%s\n", told(epoll, EPOLL_CTL_ADD, conn, "the third"));
	PQfinish(conn);
	return 0;
}
