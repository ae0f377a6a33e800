/* PQprepare and PQexecPrepared: the same name means another statement in each session. */
#include "corpus.h"

int main(void)
{
	PGconn *conns[5];
	char query[64];
	const char *values[] = {"20"};

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		snprintf(query, sizeof query, "SELECT $1::int + %d AS from_%s", i, name_of(i));
		show(name_of(i), PQprepare(conns[i], "p", query, 1, NULL));
		show(name_of(i),
		    PQprepare(conns[i], "Of \"mine\"", "SELECT $1", 1, (const Oid[]){1700}));
	}
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < COUNT(conns); i++) {
			show(name_of(i), PQexecPrepared(conns[i], "p", 1, values, NULL, NULL, 0));
			show(name_of(i),
			    PQexecPrepared(conns[i], "Of \"mine\"", 1, values, NULL, NULL, 0));
		}
	show("b", PQprepare(conns[1], "p", "SELECT 1", 0, NULL));
	show("b", PQprepare(conns[1], "q", "SELECT nonsense", 0, NULL));
	show("b", PQexecPrepared(conns[1], "q", 0, NULL, NULL, NULL, 0));
	show("b", PQexecPrepared(conns[1], "p", 0, NULL, NULL, NULL, 0));
	run("b", conns[1], "DEALLOCATE p");
	show("b", PQexecPrepared(conns[1], "p", 1, values, NULL, NULL, 0));
	show("c", PQexecPrepared(conns[2], "p", 1, values, NULL, NULL, 0));
	show("c", PQprepare(conns[2], NULL, NULL, 0, NULL));
	show_state("c", conns[2]);
	finish_sessions(conns, COUNT(conns));
	return 0;
}
