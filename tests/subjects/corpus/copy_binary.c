/* COPY in binary, out of one session and into another. */
#include "corpus.h"

int main(void)
{
	PGconn *conns[3];
	char *pieces[16];
	int lengths[16], count = 0;

	prepare_database("CREATE TABLE t (a int, b text)");
	open_sessions(conns, COUNT(conns));
	PGresult *result = PQexec(
	    conns[0], "COPY (SELECT n, 'row ' || n FROM generate_series(1, 4) n) TO STDOUT BINARY");
	printf("binary %d, formats %d %d\n", PQbinaryTuples(result), PQfformat(result, 0),
	    PQfformat(result, 1));
	PQclear(result);
	while ((lengths[count] = PQgetCopyData(conns[0], &pieces[count], 0)) > 0)
		count++;
	drain("a", conns[0]);
	for (int i = 1; i < COUNT(conns); i++) {
		result = PQexec(conns[i], "COPY t FROM STDIN BINARY");
		printf("%s: %s\n", name_of(i), PQresStatus(PQresultStatus(result)));
		PQclear(result);
		for (int k = 0; k < count; k++)
			printf("put %d of %d\n", PQputCopyData(conns[i], pieces[k], lengths[k]),
			    lengths[k]);
		PQputCopyEnd(conns[i], NULL);
		drain(name_of(i), conns[i]);
	}
	for (int k = 0; k < count; k++)
		PQfreemem(pieces[k]);
	for (int i = 0; i < COUNT(conns); i++)
		run(name_of(i), conns[i], "SELECT * FROM t ORDER BY a");
	finish_sessions(conns, COUNT(conns));
	return 0;
}
