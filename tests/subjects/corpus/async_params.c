/* PQsendQueryParams: everything it was given may be gone when the call returns. */
#include "corpus.h"

#include <arpa/inet.h>

static int send_to(PGconn *conn, int number, int result_format)
{
	uint32_t binary = htonl((uint32_t)number);
	char label[16], query[64] = "SELECT $1::int4 AS n, $2 AS label, $3::text AS none";
	Oid types[] = {23, 25, 0};
	const char *values[] = {(const char *)&binary, label, NULL};
	int lengths[] = {sizeof binary, 0, 0}, formats[] = {1, 0, 0};

	snprintf(label, sizeof label, "number %d", number);
	int sent =
	    PQsendQueryParams(conn, query, 3, types, values, lengths, formats, result_format);
	memset(query, 0, sizeof query);
	memset(label, 0, sizeof label);
	memset(types, 255, sizeof types);
	memset(values, 0, sizeof values);
	binary = 0;
	return sent;
}

int main(void)
{
	PGconn *conns[5];

	open_sessions(conns, COUNT(conns));
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < COUNT(conns); i++) {
			printf("sent %d\n", send_to(conns[i], 100 * round + i, round));
			drain(name_of(i), conns[i]);
		}
		printf("sent %d\n", send_to(conns[0], 7, 0));
		printf("sent %d\n", send_to(conns[0], 8, 0));
		show_state("a", conns[0]);
		drain("a", conns[0]);
	}
	printf("sent %d\n", PQsendQueryParams(conns[1], NULL, 0, NULL, NULL, NULL, NULL, 0));
	show_state("b", conns[1]);
	printf("sent %d\n", PQsendQueryParams(conns[1], "SELECT 1", -1, NULL, NULL, NULL, NULL, 0));
	show_state("b", conns[1]);
	finish_sessions(conns, COUNT(conns));
	return 0;
}
