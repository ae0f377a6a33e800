/* PQsetNoticeProcessor: one function, another argument for each session. */
#include "corpus.h"

static void told(void *argument, const char *message)
{
	printf("notice for %s: %s", (const char *)argument, message);
}

static void told_again(void *argument, const char *message)
{
	printf("once more for %s: %s", (const char *)argument, message);
}

int main(void)
{
	PGconn *conns[4];

	prepare_database("");
	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++)
		printf("before %d\n",
		    PQsetNoticeProcessor(conns[i], told, (void *)name_of(i)) == told);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < COUNT(conns); i++) {
			run(name_of(i), conns[i], "DROP TABLE IF EXISTS nowhere");
			run(name_of(i), conns[i], "COMMIT");
		}
	printf("known %d\n", PQsetNoticeProcessor(conns[1], NULL, NULL) == told);
	printf("known %d\n", PQsetNoticeProcessor(conns[1], told_again, (void *)"b") == told);
	PQsetErrorVerbosity(conns[1], PQERRORS_VERBOSE);
	run("b", conns[1], "ROLLBACK");
	run("c", conns[2], "DO $$ BEGIN RAISE INFO 'an info'; RAISE LOG 'a log'; END $$");
	run("d", conns[3], "SET client_min_messages = log");
	run("d", conns[3], "DO $$ BEGIN RAISE LOG 'a log' USING HINT = 'hint'; END $$");
	PGresult *result = PQexec(conns[0], "SELECT 1");
	PQgetvalue(result, 9, 9);
	PQclear(result);
	finish_sessions(conns, COUNT(conns));
	return 0;
}
