/* PREPARE, EXECUTE and DEALLOCATE in SQL, and what pg_prepared_statements says. */
#include "corpus.h"

int main(void)
{
	PGconn *conns[4];
	char query[100];

	prepare_database("CREATE TABLE t (a int)");
	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		snprintf(query, sizeof query, "PREPARE p(int) AS SELECT $1 * %d", i);
		run(name_of(i), conns[i], query);
		snprintf(query, sizeof query, "PREPARE add AS INSERT INTO t VALUES (%d)", i);
		run(name_of(i), conns[i], query);
	}
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < COUNT(conns); i++) {
			run(name_of(i), conns[i], "EXECUTE p(10)");
			run(name_of(i), conns[i], "EXECUTE add");
			run(name_of(i), conns[i],
			    "SELECT name, statement, from_sql FROM pg_prepared_statements "
			    "ORDER BY name");
		}
	run("a", conns[0], "DEALLOCATE ALL");
	run("a", conns[0], "EXECUTE p(10)");
	run("b", conns[1], "EXECUTE p('x')");
	run("c", conns[2], "DISCARD ALL");
	run("c", conns[2], "EXECUTE add");
	run("d", conns[3], "EXECUTE p(10)");
	run("d", conns[3], "SELECT count(*), sum(a) FROM t");
	finish_sessions(conns, COUNT(conns));
	return 0;
}
