/* PQtrace from the first statement to the last, one session after the other. */
#include "corpus.h"

int main(void)
{
	for (int i = 0; i < 3; i++) {
		PGconn *conn = open_session("");
		FILE *file = tmpfile();
		char line[1000];

		PQtrace(conn, file);
		PQsetTraceFlags(conn, PQTRACE_SUPPRESS_TIMESTAMPS | PQTRACE_REGRESS_MODE);
		run(name_of(i), conn, "CREATE TEMP TABLE t AS SELECT 1 AS one");
		run(name_of(i), conn, "TABLE t");
		drain(name_of(i), conn);
		PQuntrace(conn);
		rewind(file);
		while (fgets(line, sizeof line, file))
			printf("%s: %s", name_of(i), line);
		fclose(file);
		run(name_of(i), conn, "TABLE t");
		PQfinish(conn);
	}
	return 0;
}
