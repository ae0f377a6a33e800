/* needs: 2 backends, one is in a call whose callback uses the other */
/* Calls from inside a notice processor, on another session and on the same one. */
#include "corpus.h"

static PGconn *first, *second;

static void told(void *argument, const char *message)
{
	printf("%s", message);
	run((const char *)argument, second, "SELECT 'from inside', current_setting('a.b', true)");
	run("log", second, "INSERT INTO log SELECT 'notice' RETURNING *");
	printf("inside: %s, %d\n", transaction_name(PQtransactionStatus(first)),
	    PQstatus(first) == CONNECTION_OK);
	printf("inside: %s\n", text(PQparameterStatus(first, "client_encoding")));
}

int main(void)
{
	prepare_database("CREATE TABLE log (message text)");
	first = open_session("");
	second = open_session("");
	run("second", second, "SET a.b = 'kept'");
	PQsetNoticeProcessor(first, told, (void *)"callback");
	for (int i = 0; i < 3; i++) {
		run("first", first, "COMMIT");
		run("first", first, "DROP TABLE IF EXISTS nowhere; SELECT 'after'");
		PQsendQuery(first, "DO $$ BEGIN RAISE NOTICE 'async'; END $$");
		drain("first", first);
		PGconn *third = open_session("");
		run("third", third, "SELECT count(*) FROM log");
		PQfinish(third);
	}
	PQfinish(first);
	PQfinish(second);
	return 0;
}
