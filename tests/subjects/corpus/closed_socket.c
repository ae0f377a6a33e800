/* Programs that close or shut the socket of a connection down themselves, to see it break. */
/* beside: 1, a server process that has not noticed yet */
#include "corpus.h"

#include <sys/socket.h>
#include <unistd.h>

static void show_breakage(const char *who, PGconn *conn)
{
	PGresult *result = PQexec(conn, "SELECT 1");

	printf("%s: %s\n", who, PQresStatus(PQresultStatus(result)));
	PQclear(result);
	PQreset(conn);
	printf("%s: socket %d\n", who, PQsocket(conn) >= 0);
	run("reset", conn, "SHOW application_name");
}

int main(void)
{
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++)
		run(name_of(i), conns[i], "SET application_name = 'before'");
	close(PQsocket(conns[0]));
	show_breakage("closed", conns[0]);
	shutdown(PQsocket(conns[1]), SHUT_RDWR);
	show_breakage("shut down", conns[1]);
	int descriptor = PQsocket(conns[2]);
	run("c", conns[2], "SHOW application_name");
	printf("sent %d\n", PQsendQuery(conns[2], "SELECT 2"));
	close(descriptor);
	show_breakage("closed while it ran", conns[2]);
	run("d", conns[3], "SHOW application_name");
	finish_sessions(conns, COUNT(conns));
	return 0;
}
