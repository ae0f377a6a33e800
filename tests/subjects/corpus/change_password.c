/* PQchangePassword (libpq 17): for the role itself, for another one, and for none. */
#include "corpus.h"

#ifdef LIBPQ_HAS_CHANGE_PASSWORD
int main(void)
{
	PGconn *conns[3];

	open_sessions(conns, COUNT(conns));
	run("a", conns[0], "DROP ROLE IF EXISTS corpus_changed");
	run("a", conns[0], "CREATE ROLE corpus_changed");
	run("c", conns[2], "SET password_encryption = 'md5'");
	for (int i = 0; i < COUNT(conns); i++) {
		show(name_of(i), PQchangePassword(conns[i], "corpus_changed", name_of(i)));
		run(name_of(i), conns[i],
		    "SELECT left(rolpassword, 3) FROM pg_authid WHERE rolname = 'corpus_changed'");
		show(name_of(i), PQchangePassword(conns[i], "nobody", "secret"));
		printf("%s: GSSAPI %d\n", name_of(i), PQconnectionUsedGSSAPI(conns[i]));
	}
	run("b", conns[1], "BEGIN");
	show("b", PQchangePassword(conns[1], "nobody", "secret"));
	run("b", conns[1], "SELECT 1");
	run("b", conns[1], "ROLLBACK");
	run("a", conns[0], "DROP ROLE corpus_changed");
	finish_sessions(conns, COUNT(conns));
	return 0;
}
#else
NOT_IN_THIS_LIBPQ
#endif
