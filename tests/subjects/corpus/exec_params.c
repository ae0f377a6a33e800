/* PQexecParams: types, NULLs, binary parameters and binary results. */
#include "corpus.h"

#include <arpa/inet.h>

int main(void)
{
	PGconn *conns[4];
	const Oid types[] = {23, 25, 0};
	uint32_t number = htonl(4711);
	const char *values[] = {(const char *)&number, "text", NULL};
	const int lengths[] = {sizeof number, 0, 0}, formats[] = {1, 0, 0};

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		show(name_of(i), PQexecParams(conns[i], "SELECT $1 + 1, $2 || '!', $3::date", 3,
				     types, values, lengths, formats, 0));
		PGresult *result = PQexecParams(
		    conns[i], "SELECT $1::int4", 1, types, values, lengths, formats, 1);
		if (PQntuples(result) == 1)
			printf("length %d, value %u\n", PQgetlength(result, 0, 0),
			    ntohl(*(uint32_t *)PQgetvalue(result, 0, 0)));
		show(name_of(i), result);
		show(name_of(i), PQexecParams(conns[i], "SELECT $1", 1, NULL, values, lengths,
				     (const int[]){7}, 0));
		show(name_of(i),
		    PQexecParams(conns[i], "SELECT 1; SELECT 2", 0, NULL, NULL, NULL, NULL, 0));
		show(name_of(i), PQexecParams(conns[i], "SELECT $1::int", 1, NULL,
				     (const char *const[]){"x"}, NULL, NULL, 0));
		show(name_of(i),
		    PQexecParams(conns[i], "SELECT 1", 70000, NULL, NULL, NULL, NULL, 0));
		show(name_of(i), PQexecParams(conns[i], NULL, 0, NULL, NULL, NULL, NULL, 0));
		show_state(name_of(i), conns[i]);
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
