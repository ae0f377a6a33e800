/*
 * Opens connections, watches them with epoll, forks, and lets the child reset and finish each while
 * the parent goes on using its own and waits for them with the same epoll instance. Prints what
 * both see.
 *
 * usage: forks CONNECTIONS
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

static void ask(const char *who, int number, PGconn *conn)
{
	PGresult *result = PQexec(conn, "SELECT 'right'");

	printf("%s %d: %s\n", who, number,
	    PQresultStatus(result) == PGRES_TUPLES_OK ? PQgetvalue(result, 0, 0)
						      : PQerrorMessage(conn));
	PQclear(result);
}

static void be_child(PGconn **conns, int count)
{
	for (int i = 0; i < count; i++) {
		PQreset(conns[i]);
		ask("child", i, conns[i]);
		PQfinish(conns[i]);
	}
}

static void watch(int epoll, PGconn *conn)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, PQsocket(conn), &event) != 0)
		perror("epoll_ctl");
}

/* What epoll says of a question that is asked without blocking. */
static void wait_for_answer(int epoll, int number, PGconn *conn)
{
	struct epoll_event event = {0};
	PGresult *result;

	PQsendQuery(conn, "SELECT 'later'");
	int ready = epoll_wait(epoll, &event, 1, 5000);
	printf("parent %d: %s is ready\n", number,
	    ready != 1               ? "nothing"
	    : event.data.ptr == conn ? "the connection"
				     : "another connection");
	while ((result = PQgetResult(conn)))
		PQclear(result);
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 1, epoll = epoll_create1(0);
	PGconn **conns = calloc((size_t)count, sizeof *conns);

	for (int i = 0; i < count; i++) {
		conns[i] = PQconnectdb("");
		ask("parent", i, conns[i]);
		watch(epoll, conns[i]);
	}
	fflush(stdout);
	if (fork() == 0) {
		be_child(conns, count);
		exit(0);
	}
	wait(NULL);
	for (int i = 0; i < count; i++) {
		ask("parent", i, conns[i]);
		wait_for_answer(epoll, i, conns[i]);
		PQfinish(conns[i]);
	}
	free(conns);
	return 0;
}
