/* needs: 2 backends, both with a temporary table, which cannot be moved */
/* Temporary tables of the same name. */
#include "corpus.h"

int main(void)
{
	PGconn *conns[2];

	open_sessions(conns, COUNT(conns));
	run("a", conns[0], "CREATE TEMPORARY TABLE t AS SELECT 'of a' AS whose");
	run("b", conns[1], "CREATE TEMPORARY TABLE t AS SELECT 'of b' AS whose");
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < COUNT(conns); i++) {
			run(name_of(i), conns[i], "INSERT INTO t VALUES ('more')");
			run(name_of(i), conns[i], "TABLE t");
		}
	run("a", conns[0], "DROP TABLE t");
	run("a", conns[0], "TABLE t");
	run("b", conns[1], "TABLE t");
	PQfinish(conns[0]);
	PGconn *third = open_session("");
	run("third", third, "TABLE t");
	PQfinish(third);
	PQfinish(conns[1]);
	return 0;
}
