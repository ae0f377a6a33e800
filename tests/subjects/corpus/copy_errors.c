/* COPY that fails: bad data, ended with an error, ended twice, a table that is not there. */
#include "corpus.h"

static void copy(const char *who, PGconn *conn, const char *data, const char *error)
{
	run(who, conn, "COPY t FROM STDIN");
	printf("%s: put %d end %d\n", who, PQputCopyData(conn, data, (int)strlen(data)),
	    PQputCopyEnd(conn, error));
	drain(who, conn);
	show_state(who, conn);
}

int main(void)
{
	PGconn *conns[4];

	prepare_database("CREATE TABLE t (a int UNIQUE, b text)");
	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		PGconn *conn = conns[i];
		char *row = NULL;

		copy("not a number", conn, "x\ty\n", NULL);
		copy("too few", conn, "1\n", NULL);
		copy("too many", conn, "1\t2\t3\n", NULL);
		copy("twice", conn, "1\ta\n1\tb\n", NULL);
		copy("given up", conn, "1\ta\n", "changed my mind");
		copy("unfinished", conn, "1\ta", NULL);
		run("nowhere", conn, "COPY nowhere FROM STDIN");
		run("in", conn, "COPY t FROM STDIN");
		show_answer("get during in", PQgetCopyData(conn, &row, 0), conn);
		printf("end %d", PQputCopyEnd(conn, NULL));
		show_answer(" again", PQputCopyEnd(conn, NULL), conn);
		drain("in", conn);
		run("out", conn, "COPY (SELECT 1) TO STDOUT");
		show_answer("put during out", PQputCopyData(conn, "x", 1), conn);
		printf("get %d", PQgetCopyData(conn, &row, 0));
		PQfreemem(row);
		printf(" get %d\n", PQgetCopyData(conn, &row, 0));
		drain("out", conn);
		run("count", conn, "SELECT count(*) FROM t");
		run("empty", conn, "TRUNCATE t");
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
