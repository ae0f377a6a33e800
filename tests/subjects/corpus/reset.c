/* PQreset: a new connection, which knows nothing of what the session had. */
#include "corpus.h"

int main(void)
{
	PGconn *conns[3];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		run(name_of(i), conns[i], "SET application_name = 'before'");
		run(name_of(i), conns[i], "PREPARE p AS SELECT 1");
		PQsetErrorVerbosity(conns[i], PQERRORS_TERSE);
	}
	PQreset(conns[1]);
	for (int i = 0; i < COUNT(conns); i++) {
		run(name_of(i), conns[i], "SHOW application_name");
		run(name_of(i), conns[i], "EXECUTE p");
		show_state(name_of(i), conns[i]);
	}
	run("c", conns[2], "BEGIN");
	run("c", conns[2], "SELECT 1/0");
	PQreset(conns[2]);
	show_state("c", conns[2]);
	run("c", conns[2], "SELECT 1");
	PQsendQuery(conns[0], "SELECT 5");
	PQreset(conns[0]);
	show_state("a", conns[0]);
	drain("a", conns[0]);
	run("a", conns[0], "SELECT 6");
	finish_sessions(conns, COUNT(conns));
	return 0;
}
