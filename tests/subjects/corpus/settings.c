/* What a session has set is its own, and stays. */
#include "corpus.h"

int main(void)
{
	static const char *const sets[] = {"SET search_path = one, public",
	    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET custom.name = 'its own'",
	    "SET TimeZone = 'Europe/Berlin'", "SET statement_timeout = '7s'",
	    "SET client_min_messages = debug1"};
	PGconn *conns[COUNT(sets)];

	prepare_database("CREATE TABLE t AS SELECT 'public' AS place; DROP SCHEMA IF EXISTS one "
			 "CASCADE; CREATE SCHEMA one; CREATE TABLE one.t AS SELECT 'one' AS place");
	open_sessions(conns, COUNT(sets));
	for (int i = 0; i < COUNT(sets); i++)
		run(name_of(i), conns[i], sets[i]);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < COUNT(sets); i++)
			run(name_of(i), conns[i],
			    "SELECT place, current_setting('custom.name', true), "
			    "current_setting('TimeZone'), current_setting('statement_timeout'), "
			    "current_setting('transaction_read_only') FROM t");
	run("b", conns[1], "CREATE TABLE no (a int)");
	run("b", conns[1], "SHOW transaction_isolation");
	run("a", conns[0], "RESET ALL");
	run("a", conns[0], "SELECT current_schemas(false)");
	run("c", conns[2], "RESET custom.name");
	run("c", conns[2], "SELECT current_setting('custom.name')");
	finish_sessions(conns, COUNT(sets));
	return 0;
}
