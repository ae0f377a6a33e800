/* COPY FROM STDIN with PQputCopyData. */
#include "corpus.h"

int main(void)
{
	PGconn *conns[4];
	static const char *const pieces[] = {"1\tone\n2\t", "two\n", "3\t\\N\n4\tfo", "ur\\\\\n"};

	prepare_database("CREATE TABLE t (a int, b text)");
	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		run(name_of(i), conns[i], "SET DateStyle = 'German'");
		PGresult *result = PQexec(conns[i], "COPY t FROM STDIN");
		printf("%s: %s, %d columns, binary %d\n", name_of(i),
		    PQresStatus(PQresultStatus(result)), PQnfields(result), PQbinaryTuples(result));
		PQclear(result);
		show_state(name_of(i), conns[i]);
		for (int k = 0; k < COUNT(pieces); k++)
			printf(
			    "put %d\n", PQputCopyData(conns[i], pieces[k], (int)strlen(pieces[k])));
		printf("put nothing %d\n", PQputCopyData(conns[i], NULL, 0));
		printf("end %d\n", PQputCopyEnd(conns[i], NULL));
		drain(name_of(i), conns[i]);
		show_state(name_of(i), conns[i]);
	}
	for (int i = 0; i < COUNT(conns); i++) {
		PQsetnonblocking(conns[i], 1);
		PQsendQuery(conns[i], "COPY t (a) FROM STDIN WITH (FORMAT csv)");
		show(name_of(i), PQgetResult(conns[i]));
		printf("put %d\n", PQputCopyData(conns[i], "7\n8\n", 4));
		printf("end %d, flush %d\n", PQputCopyEnd(conns[i], NULL), PQflush(conns[i]));
		drain(name_of(i), conns[i]);
		run(name_of(i), conns[i], "SELECT count(*), sum(a), count(b) FROM t");
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
