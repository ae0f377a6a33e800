/* COPY left in the middle: by another command, by PQfinish, by PQreset. */
#include "corpus.h"

int main(void)
{
	PGconn *conns[4];

	prepare_database("CREATE TABLE t (a int)");
	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		PGconn *conn = conns[i];
		char *row;

		run("in", conn, "COPY t FROM STDIN");
		PQputCopyData(conn, "1\n", 2);
		run("in left", conn, "SELECT count(*) FROM t");
		show_state("in left", conn);
		run("out", conn, "COPY (SELECT generate_series(1, 1000)) TO STDOUT");
		if (PQgetCopyData(conn, &row, 0) > 0)
			PQfreemem(row);
		run("out left", conn, "SELECT 'after out'");
		show_state("out left", conn);
		PQsendQuery(conn, "COPY t FROM STDIN");
		show("unused", PQgetResult(conn));
		show_answer("sent", PQsendQuery(conn, "SELECT 1"), conn);
		PQreset(conn);
		show_state("reset", conn);
		run("last", conn, "COPY t FROM STDIN");
		PQputCopyData(conn, "2\n", 2);
		PQfinish(conn);
	}
	PGconn *last = open_session("");
	run("count", last, "SELECT count(*) FROM t");
	PQfinish(last);
	return 0;
}
