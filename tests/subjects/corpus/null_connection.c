/* Every function that libpq lets be called without a connection. */
#include "corpus.h"

static void ask(void)
{
	printf("db %s user %s pass %s host %s port %s tty %s options %s hostaddr %s\n",
	    text(PQdb(NULL)), text(PQuser(NULL)), text(PQpass(NULL)), text(PQhost(NULL)),
	    text(PQport(NULL)), text(PQtty(NULL)), text(PQoptions(NULL)), text(PQhostaddr(NULL)));
	printf("status %d transaction %d pipeline %d error %s", (int)PQstatus(NULL),
	    (int)PQtransactionStatus(NULL), (int)PQpipelineStatus(NULL), PQerrorMessage(NULL));
	printf("version %d protocol %d encoding %d set %d\n", PQserverVersion(NULL),
	    PQprotocolVersion(NULL), PQclientEncoding(NULL), PQsetClientEncoding(NULL, "UTF8"));
	printf("parameter %s socket %d pid %d info %d\n", text(PQparameterStatus(NULL, "TimeZone")),
	    PQsocket(NULL), PQbackendPID(NULL), PQconninfo(NULL) != NULL);
	printf("needs password %d used %d ssl %d %s %s %d gss %d %d\n",
	    PQconnectionNeedsPassword(NULL), PQconnectionUsedPassword(NULL), PQsslInUse(NULL),
	    text(PQsslAttribute(NULL, "protocol")),
	    PQsslStruct(NULL, "OpenSSL") ? "struct" : "none", PQgetssl(NULL) == NULL,
	    PQgssEncInUse(NULL), PQgetgssctx(NULL) == NULL);
	printf("library %s\n", text(PQsslAttribute(NULL, "library")));
	printf("nonblocking %d %d\n", PQisnonblocking(NULL), PQsetnonblocking(NULL, 1));
}

static void command(void)
{
	char *data = NULL, line[4] = "", quoted[8] = "";

	run("exec", NULL, "SELECT 1");
	show("params", PQexecParams(NULL, "SELECT 1", 0, NULL, NULL, NULL, NULL, 0));
	show("prepare", PQprepare(NULL, "p", "SELECT 1", 0, NULL));
	show("prepared", PQexecPrepared(NULL, "p", 0, NULL, NULL, NULL, 0));
	show("describe", PQdescribePrepared(NULL, "p"));
	show("portal", PQdescribePortal(NULL, "p"));
	printf("send %d %d %d %d %d %d\n", PQsendQuery(NULL, "SELECT 1"),
	    PQsendQueryParams(NULL, "SELECT 1", 0, NULL, NULL, NULL, NULL, 0),
	    PQsendPrepare(NULL, "p", "SELECT 1", 0, NULL),
	    PQsendQueryPrepared(NULL, "p", 0, NULL, NULL, NULL, 0),
	    PQsendDescribePrepared(NULL, "p"), PQsendDescribePortal(NULL, "p"));
	printf("single %d busy %d consume %d\n", PQsetSingleRowMode(NULL), PQisBusy(NULL),
	    PQconsumeInput(NULL));
	show("result", PQgetResult(NULL));
	printf("enter %d exit %d sync %d flush %d\n", PQenterPipelineMode(NULL),
	    PQexitPipelineMode(NULL), PQpipelineSync(NULL), PQsendFlushRequest(NULL));
	printf("copy %d %d %d\n", PQputCopyData(NULL, "x", 1), PQputCopyEnd(NULL, NULL),
	    PQgetCopyData(NULL, &data, 0));
	printf("line %d end %d\n", PQgetline(NULL, line, 4), PQendcopy(NULL));
	printf("notifies %d cancel %d %d\n", PQnotifies(NULL) != NULL, PQgetCancel(NULL) != NULL,
	    PQrequestCancel(NULL));
	printf("quoted %zu\n", PQescapeStringConn(NULL, quoted, "a", 1, NULL));
	printf("literal %d identifier %d bytea %d\n", PQescapeLiteral(NULL, "a", 1) != NULL,
	    PQescapeIdentifier(NULL, "a", 1) != NULL,
	    PQescapeByteaConn(NULL, (const unsigned char *)"a", 1, NULL) != NULL);
}

static void on_the_client(void)
{
	char cancel[8] = "x";

	printf("notice %d %d\n", PQsetNoticeReceiver(NULL, NULL, NULL) != NULL,
	    PQsetNoticeProcessor(NULL, NULL, NULL) != NULL);
	printf("verbosity %d context %d\n", (int)PQsetErrorVerbosity(NULL, PQERRORS_TERSE),
	    (int)PQsetErrorContextVisibility(NULL, PQSHOW_CONTEXT_NEVER));
	PQuntrace(NULL);
	printf("event %d data %d %d\n", PQregisterEventProc(NULL, NULL, NULL, NULL),
	    PQsetInstanceData(NULL, NULL, NULL), PQinstanceData(NULL, NULL) != NULL);
	printf("fire %d\n", PQfireResultCreateEvents(NULL, NULL));
	show("made", PQmakeEmptyPGresult(NULL, PGRES_COMMAND_OK));
	show("made", PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR));
	printf("cancel %d %s\n", PQcancel(NULL, cancel, sizeof cancel), cancel);
	PQfreeCancel(NULL);
	printf("password %d\n", PQencryptPasswordConn(NULL, "a", "b", "md5") != NULL);
	printf("lo %d %d\n", lo_open(NULL, 1, 1), lo_unlink(NULL, 1));
	PQreset(NULL);
	printf("reset %d %d poll %d\n", PQresetStart(NULL), (int)PQresetPoll(NULL),
	    (int)PQconnectPoll(NULL));
	PQfinish(NULL);
}

int main(void)
{
	PGconn *conn = open_session("");

	ask();
	command();
	on_the_client();
	run("good", conn, "SELECT 1");
	PQfinish(conn);
	return 0;
}
