/* needs: 2 backends, both in transactions */
/* Two transactions at the same time, and what each sees of the other. */
#include "corpus.h"

int main(void)
{
	PGconn *a, *b;

	prepare_database("CREATE TABLE t (n int PRIMARY KEY, v text)");
	a = open_session("");
	b = open_session("");
	run("a", a, "BEGIN");
	show_state("a", a);
	run("b", b, "BEGIN ISOLATION LEVEL REPEATABLE READ");
	run("a", a, "INSERT INTO t VALUES (1, 'from a')");
	run("b", b, "SELECT * FROM t");
	run("a", a, "COMMIT");
	run("b", b, "SELECT * FROM t");
	run("b", b, "UPDATE t SET v = 'from b'");
	run("b", b, "COMMIT");
	run("b", b, "SELECT * FROM t");
	run("a", a, "BEGIN");
	run("b", b, "BEGIN");
	run("a", a, "SELECT 1/0");
	show_state("a", a);
	run("a", a, "SELECT 1");
	run("b", b, "INSERT INTO t VALUES (2, 'two')");
	run("a", a, "COMMIT");
	show_state("a", a);
	run("b", b, "ROLLBACK");
	run("a", a, "SELECT * FROM t");
	run("a", a, "COMMIT");
	PQfinish(a);
	PQfinish(b);
	return 0;
}
