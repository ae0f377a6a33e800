/* PQtrace: what goes to the server and comes from there is what the program has asked for. */
#include "corpus.h"

static void print_trace(const char *who, FILE *file)
{
	char line[1000];

	rewind(file);
	while (fgets(line, sizeof line, file))
		printf("%s: %s", who, line);
	fclose(file);
}

static void work(const char *who, PGconn *conn)
{
	const char *const values[] = {"a value"};

	run(who, conn, "SELECT 1 AS one");
	run(who, conn, "SET application_name = 'traced'");
	run(who, conn, "SELECT 1/0");
	show(who, PQprepare(conn, "p", "SELECT $1::text", 0, NULL));
	show(who, PQexecPrepared(conn, "p", 1, values, NULL, NULL, 0));
	show(who, PQdescribePrepared(conn, "p"));
	run(who, conn, "BEGIN; ROLLBACK");
}

int main(void)
{
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		FILE *file = tmpfile();

		run(name_of(i), conns[i], "SELECT 'not traced'");
		PQtrace(conns[i], file);
		PQsetTraceFlags(conns[i], PQTRACE_SUPPRESS_TIMESTAMPS | PQTRACE_REGRESS_MODE);
		work(name_of(i), conns[i]);
		PQuntrace(conns[i]);
		run(name_of(i), conns[i], "SELECT 'no longer traced'");
		run("another", conns[(i + 1) % COUNT(conns)], "SELECT 'never traced'");
		print_trace(name_of(i), file);
	}
	for (int i = 0; i < COUNT(conns); i++)
		run(name_of(i), conns[i], "EXECUTE p ('later')");
	finish_sessions(conns, COUNT(conns));
	return 0;
}
