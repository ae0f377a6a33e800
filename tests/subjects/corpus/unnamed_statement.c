/* needs: 2 backends, both with an unnamed statement, which cannot be moved */
/* The unnamed prepared statement lives until the next one. */
#include "corpus.h"

int main(void)
{
	PGconn *conns[2];
	static const char *const queries[] = {"SELECT $1 || ' in a'", "SELECT $1 || ' in b'"};
	const char *values[] = {"value"};

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++)
		show(name_of(i), PQprepare(conns[i], "", queries[i], 1, NULL));
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < COUNT(conns); i++)
			show(name_of(i), PQexecPrepared(conns[i], "", 1, values, NULL, NULL, 0));
	show("a", PQdescribePrepared(conns[0], ""));
	run("a", conns[0], "SELECT 1");
	show("a", PQexecPrepared(conns[0], "", 1, values, NULL, NULL, 0));
	show("b", PQexecPrepared(conns[1], "", 1, values, NULL, NULL, 0));
	finish_sessions(conns, COUNT(conns));
	return 0;
}
