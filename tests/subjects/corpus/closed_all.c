/* A program that closes all descriptors, as daemons do, and has sockets of its own in their place. */
/* beside: 4, server processes that have not noticed yet */
#include "corpus.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST 64

/* What was written to one of the program's own sockets arrives at another. */
static void look_at_sockets(ino_t *inodes)
{
	int closed = 0, replaced = 0, readable = 0;

	for (int i = 3; i < MOST; i++) {
		struct pollfd ready = {.fd = i, .events = POLLIN};
		struct stat file;

		closed += fstat(i, &file) != 0;
		replaced += inodes[i] && file.st_ino != inodes[i];
		inodes[i] = file.st_ino;
		readable += poll(&ready, 1, 0) > 0;
	}
	printf("%d closed, %d replaced, %d readable\n", closed, replaced, readable);
}

int main(void)
{
	PGconn *conns[4];
	ino_t inodes[MOST] = {0};
	int pair[2];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++)
		run(name_of(i), conns[i], "SET application_name = 'before'");
	PQfinish(conns[0]);
	PQfinish(conns[1]);
	/* The others are leaked. */
	for (int i = 3; i < 1000; i++)
		close(i);
	while (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pair[1] < MOST)
		;
	look_at_sockets(inodes);
	for (int i = 0; i < 3; i++) {
		PGconn *conn = PQconnectdb("");

		run("new", conn, "SELECT 'right'");
		PQfinish(conn);
	}
	look_at_sockets(inodes);
	return 0;
}
