/* PQsetNoticeReceiver: the notice as a result, field by field. */
#include "corpus.h"

static void received(void *argument, const PGresult *notice)
{
	static const int fields[] = {PG_DIAG_SEVERITY, PG_DIAG_SEVERITY_NONLOCALIZED,
	    PG_DIAG_SQLSTATE, PG_DIAG_MESSAGE_PRIMARY, PG_DIAG_MESSAGE_DETAIL, PG_DIAG_MESSAGE_HINT,
	    PG_DIAG_CONTEXT, PG_DIAG_TABLE_NAME};

	printf("%s gets %s:", (const char *)argument, PQresStatus(PQresultStatus(notice)));
	for (int i = 0; i < COUNT(fields); i++)
		printf(" [%s]", text(PQresultErrorField(notice, fields[i])));
	putchar('\n');
	char *verbose = PQresultVerboseErrorMessage(notice, PQERRORS_TERSE, PQSHOW_CONTEXT_NEVER);
	printf("%s", verbose);
	PQfreemem(verbose);
}

int main(void)
{
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		PQnoticeReceiver old = PQsetNoticeReceiver(conns[i], received, (void *)name_of(i));

		printf("before: a default %d, ours %d\n", old != NULL, old == received);
	}
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < COUNT(conns); i++) {
			run(name_of(i), conns[i], "COMMIT");
			run(name_of(i), conns[i],
			    "DO $$ BEGIN RAISE NOTICE 'said' USING DETAIL = 'more', HINT = 'do', "
			    "ERRCODE = '01234', TABLE = 't'; END $$");
		}
	printf("known %d\n", PQsetNoticeReceiver(conns[0], NULL, NULL) == received);
	PQreset(conns[3]);
	run("d", conns[3], "COMMIT");
	finish_sessions(conns, COUNT(conns));
	return 0;
}
