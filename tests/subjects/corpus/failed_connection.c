/* Every kind of call on a connection that has failed. */
#include "corpus.h"

static void ask(PGconn *conn)
{
	printf("db %s user %s pass %s host %d port %d tty %s options %s hostaddr %s\n",
	    text(PQdb(conn)), text(PQuser(conn)), text(PQpass(conn)), PQhost(conn) != NULL,
	    PQport(conn) != NULL, text(PQtty(conn)), text(PQoptions(conn)), text(PQhostaddr(conn)));
	printf("version %d protocol %d encoding %d set %d\n", PQserverVersion(conn),
	    PQprotocolVersion(conn), PQclientEncoding(conn), PQsetClientEncoding(conn, "LATIN1"));
	printf("parameter %s socket %d pid %d\n", text(PQparameterStatus(conn, "TimeZone")),
	    PQsocket(conn) >= 0, PQbackendPID(conn));
	printf("needs password %d, used %d, ssl %d %s %d, gss %d %d\n",
	    PQconnectionNeedsPassword(conn), PQconnectionUsedPassword(conn), PQsslInUse(conn),
	    text(PQsslAttribute(conn, "protocol")), PQgetssl(conn) == NULL, PQgssEncInUse(conn),
	    PQgetgssctx(conn) == NULL);
	printf("nonblocking %d %d %d\n", PQisnonblocking(conn), PQsetnonblocking(conn, 1),
	    PQisnonblocking(conn));
	printf("verbosity %d context %d\n", (int)PQsetErrorVerbosity(conn, PQERRORS_TERSE),
	    (int)PQsetErrorContextVisibility(conn, PQSHOW_CONTEXT_ALWAYS));
	printf("verbosity %d context %d\n", (int)PQsetErrorVerbosity(conn, PQERRORS_DEFAULT),
	    (int)PQsetErrorContextVisibility(conn, PQSHOW_CONTEXT_NEVER));
}

static void command(PGconn *conn)
{
	int length = 0, answer = 0;

	run("exec", conn, "SELECT 1");
	show_state("after exec", conn);
	show("params", PQexecParams(conn, "SELECT 1", 0, NULL, NULL, NULL, NULL, 0));
	show("prepare", PQprepare(conn, "p", "SELECT 1", 0, NULL));
	show("prepared", PQexecPrepared(conn, "p", 0, NULL, NULL, NULL, 0));
	show("describe", PQdescribePrepared(conn, "p"));
	show("portal", PQdescribePortal(conn, "p"));
	show("fn", PQfn(conn, 1598, &answer, &length, 1, NULL, 0));
	show_state("after fn", conn);
	printf("send %d %d %d %d %d %d\n", PQsendQuery(conn, "SELECT 1"),
	    PQsendQueryParams(conn, "SELECT 1", 0, NULL, NULL, NULL, NULL, 0),
	    PQsendPrepare(conn, "p", "SELECT 1", 0, NULL),
	    PQsendQueryPrepared(conn, "p", 0, NULL, NULL, NULL, 0),
	    PQsendDescribePrepared(conn, "p"), PQsendDescribePortal(conn, "p"));
	show_state("after send", conn);
	printf("single %d busy %d\n", PQsetSingleRowMode(conn), PQisBusy(conn));
	printf("consume %d\n", PQconsumeInput(conn));
	printf("flush %d\n", PQflush(conn));
	show("result", PQgetResult(conn));
	printf("enter %d\n", PQenterPipelineMode(conn));
	printf("exit %d\n", PQexitPipelineMode(conn));
	printf("sync %d\n", PQpipelineSync(conn));
	printf("flush request %d\n", PQsendFlushRequest(conn));
	show_state("after pipeline", conn);
}

static void copy_and_quote(PGconn *conn)
{
	char line[8], quoted[16], *data = NULL, *literal;
	int error = 7;

	printf("put %d end %d get %d\n", PQputCopyData(conn, "x", 1), PQputCopyEnd(conn, NULL),
	    PQgetCopyData(conn, &data, 0));
	printf("line %d async %d put %d bytes %d end %d\n", PQgetline(conn, line, sizeof line),
	    PQgetlineAsync(conn, line, sizeof line), PQputline(conn, "x\n"),
	    PQputnbytes(conn, "x", 1), PQendcopy(conn));
	printf("quoted %zu", PQescapeStringConn(conn, quoted, "a'b", 3, &error));
	printf(" %s error %d\n", quoted, error);
	literal = PQescapeLiteral(conn, "a'b", 3);
	printf("literal %s\n", text(literal));
	PQfreemem(literal);
	printf("notifies %d\n", PQnotifies(conn) != NULL);
	printf("cancel %d request %d\n", PQgetCancel(conn) != NULL, PQrequestCancel(conn));
	show_state("after cancel", conn);
	printf("lo %d %d %d %d\n", lo_open(conn, 1, 1), lo_creat(conn, 1) == InvalidOid,
	    lo_unlink(conn, 1), lo_close(conn, 0));
	show_state("after lo", conn);
	show("made", PQmakeEmptyPGresult(conn, PGRES_FATAL_ERROR));
	printf("encrypted %d\n", PQencryptPasswordConn(conn, "a", "b", NULL) != NULL);
	show_state("after encrypting", conn);
}

int main(void)
{
	static const char *const ways[] = {"dbname=no_such_database", "no_such_option=1"};

	for (int i = 0; i < COUNT(ways); i++) {
		PGconn *conn = PQconnectdb(ways[i]);

		show_state(ways[i], conn);
		ask(conn);
		command(conn);
		copy_and_quote(conn);
		PQfinish(conn);
	}
	PQfinish(open_session(""));
	return 0;
}
