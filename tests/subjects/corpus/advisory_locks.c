/* Advisory locks: of a session, one at a time, and of transactions. */
#include "corpus.h"

int main(void)
{
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		run(name_of(i), conns[i], "SELECT pg_try_advisory_lock(1)");
		run(name_of(i), conns[i],
		    "SELECT pg_try_advisory_lock(1), pg_try_advisory_lock_shared(2)");
		run(name_of(i), conns[i], "SELECT pg_advisory_unlock(1)");
		run(name_of(i), conns[i],
		    "SELECT objid, mode, granted FROM pg_locks WHERE locktype = 'advisory' ORDER "
		    "BY 1");
		run(name_of(i), conns[i],
		    "SELECT pg_advisory_unlock(1), pg_advisory_unlock_shared(2)");
		run(name_of(i), conns[i], "BEGIN; SELECT pg_try_advisory_xact_lock(3)");
		run(name_of(i), conns[i], "SELECT pg_advisory_unlock(3)");
		run(name_of(i), conns[i], "COMMIT");
	}
	run("a", conns[0], "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'");
	finish_sessions(conns, COUNT(conns));
	return 0;
}
