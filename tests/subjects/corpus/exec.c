/* PQexec: several statements, none, rows, commands, errors; and all that a result tells. */
#include "corpus.h"

int main(void)
{
	static const char *const queries[] = {"SELECT 1 AS one, NULL AS nothing, 'x'::text", "",
	    ";", "-- nothing", "SELECT 1; SELECT 2", "SELECT 1; SELECT 1/0; SELECT 3",
	    "INSERT INTO t SELECT n, n || '!' FROM generate_series(1, 5) n",
	    "UPDATE t SET b = 'even' WHERE a % 2 = 0", "DELETE FROM t WHERE a = 1",
	    "SELECT * FROM t ORDER BY a", "SELECT FROM t", "SELECT * FROM t WHERE false", "SELEC 1",
	    "SELECT nothing FROM nowhere", "INSERT INTO t VALUES (2, 'again')",
	    "CREATE TABLE u (a int)", "DROP TABLE u", "TABLE u", "SELECT 'a' || chr(228)",
	    "EXPLAIN (COSTS off) SELECT 1", "VALUES (1, 2), (3, 4)", "SHOW work_mem"};
	PGconn *conns[4];

	prepare_database("CREATE TABLE t (a int PRIMARY KEY, b varchar(20))");
	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(queries); i++) {
		run(queries[i], conns[i % COUNT(conns)], queries[i]);
		show_state(name_of(i % COUNT(conns)), conns[i % COUNT(conns)]);
	}
	for (int i = 0; i < COUNT(conns); i++)
		show_state(name_of(i), conns[i]);
	finish_sessions(conns, COUNT(conns));
	return 0;
}
