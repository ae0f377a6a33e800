/* PQdescribePrepared and PQdescribePortal. */
#include "corpus.h"

static void show_parameters(const char *who, PGresult *result)
{
	for (int i = 0; i < PQnparams(result); i++)
		printf("%s: parameter %d has type %u\n", who, i, PQparamtype(result, i));
	show(who, result);
}

int main(void)
{
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++)
		PQclear(PQprepare(conns[i], "p",
		    i % 2 ? "SELECT $1::int AS i, $2::text AS t" : "SELECT $1::numeric(9,2)", 0,
		    NULL));
	for (int i = 0; i < COUNT(conns); i++) {
		show_parameters(name_of(i), PQdescribePrepared(conns[i], "p"));
		show(name_of(i), PQdescribePrepared(conns[i], "none"));
		show(name_of(i), PQdescribePortal(conns[i], "none"));
		show_state(name_of(i), conns[i]);
	}
	for (int i = 0; i < COUNT(conns); i++) {
		run(name_of(i), conns[i], "BEGIN");
		run(name_of(i), conns[i], "DECLARE cur CURSOR FOR SELECT 1 AS a, now() AS b");
		show(name_of(i), PQdescribePortal(conns[i], "cur"));
		run(name_of(i), conns[i], "ROLLBACK");
		show_parameters(name_of(i), PQdescribePrepared(conns[i], "p"));
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
