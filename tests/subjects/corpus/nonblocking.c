/* PQsetnonblocking with a large query, PQflush and poll(). */
#include "corpus.h"

static void send_large(const char *who, PGconn *conn)
{
	size_t size = 3000000;
	char *query = malloc(size + 64);
	int left;

	strcpy(query, "SELECT length('");
	memset(query + strlen(query), 'x', size);
	strcpy(query + 15 + size, "')");
	printf("%s: sent %d\n", who, PQsendQuery(conn, query));
	free(query);
	while ((left = PQflush(conn)) > 0) {
		struct pollfd descriptor = {.fd = PQsocket(conn), .events = POLLIN | POLLOUT};

		poll(&descriptor, 1, 10000);
		if (descriptor.revents & POLLIN)
			PQconsumeInput(conn);
	}
	printf("%s: flushed %d\n", who, left);
	while (PQisBusy(conn)) {
		wait_for_input(conn);
		PQconsumeInput(conn);
	}
	drain(who, conn);
}

int main(void)
{
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		printf("%d ", PQisnonblocking(conns[i]));
		printf("%d ", PQsetnonblocking(conns[i], i % 2 == 0));
		printf("%d\n", PQisnonblocking(conns[i]));
	}
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < COUNT(conns); i++) {
			send_large(name_of(i), conns[i]);
			printf("%s: nonblocking %d\n", name_of(i), PQisnonblocking(conns[i]));
		}
	run("a", conns[0], "SELECT 1");
	printf("flush %d\n", PQflush(conns[1]));
	finish_sessions(conns, COUNT(conns));
	return 0;
}
