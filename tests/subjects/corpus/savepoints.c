/* Savepoints, failed transactions and SET LOCAL, one session after another. */
#include "corpus.h"

int main(void)
{
	static const char *const steps[] = {"SET work_mem = '2MB'", "BEGIN",
	    "SET LOCAL work_mem = '3MB'", "INSERT INTO t VALUES (1)", "SAVEPOINT s",
	    "INSERT INTO t VALUES (NULL)", "SHOW work_mem", "ROLLBACK TO s", "SHOW work_mem",
	    "INSERT INTO t VALUES (2)", "RELEASE s", "COMMIT", "SHOW work_mem",
	    "SELECT count(*), sum(n) FROM t", "BEGIN; SET work_mem = '9MB'; ROLLBACK",
	    "SHOW work_mem", "ROLLBACK", "COMMIT AND CHAIN", "BEGIN", "BEGIN", "COMMIT AND CHAIN",
	    "ROLLBACK"};
	PGconn *conns[4];

	prepare_database("CREATE TABLE t (n int NOT NULL)");
	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++)
		for (int k = 0; k < COUNT(steps); k++) {
			run(steps[k], conns[i], steps[k]);
			printf("%s\n", transaction_name(PQtransactionStatus(conns[i])));
		}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
