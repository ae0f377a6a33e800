/* EPOLLONESHOT: an event comes once, and again only when the program has asked for it. */
#include "corpus.h"

#include <sys/epoll.h>
#include <unistd.h>

static int epoll;

static void want(int operation, PGconn *conn)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = conn};

	if (epoll_ctl(epoll, operation, PQsocket(conn), &event) != 0)
		perror("epoll_ctl");
}

static int comes(int within_ms)
{
	struct epoll_event event;

	return epoll_wait(epoll, &event, 1, within_ms);
}

static void fetch(PGconn *conn)
{
	PGresult *result;

	while ((result = PQgetResult(conn)))
		PQclear(result);
}

/* The others want its place. */
static void move(PGconn **conns, int count)
{
	for (int round = 0; round < 2; round++)
		for (int i = 1; i < count; i++)
			run(name_of(i), conns[i], "SELECT 1");
}

int main(void)
{
	PGconn *conns[4];

	epoll = epoll_create1(0);
	open_sessions(conns, COUNT(conns));
	want(EPOLL_CTL_ADD, conns[0]);
	printf("sent %d\n", PQsendQuery(conns[0], "SELECT 1"));
	printf("comes %d\n", comes(5000));
	fetch(conns[0]);
	move(conns, COUNT(conns));
	run("a", conns[0], "SELECT 2");
	printf("sent %d\n", PQsendQuery(conns[0], "SELECT 3 FROM pg_sleep(0.1)"));
	printf("comes again %d\n", comes(300));
	fetch(conns[0]);
	move(conns, COUNT(conns));
	want(EPOLL_CTL_MOD, conns[0]);
	move(conns, COUNT(conns));
	printf("sent %d\n", PQsendQuery(conns[0], "SELECT 4"));
	printf("comes as asked for %d\n", comes(5000));
	fetch(conns[0]);
	finish_sessions(conns, COUNT(conns));
	return 0;
}
