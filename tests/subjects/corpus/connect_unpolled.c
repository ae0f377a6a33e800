/* A connect that was begun and is used before PQconnectPoll has finished it. */
#include "corpus.h"

int main(void)
{
	PGconn *other = open_session("");
	PGconn *conn = PQconnectStart("");

	printf("socket %d\n", PQsocket(conn) >= 0);
	printf("user %s, database %s\n", text(PQuser(conn)),
	    strcmp(text(PQdb(conn)), getenv("PGDATABASE")) ? "?" : "as asked");
	printf("transaction %s\n", transaction_name(PQtransactionStatus(conn)));
	printf("version %d, protocol %d\n", PQserverVersion(conn), PQprotocolVersion(conn));
	printf("parameter %s\n", text(PQparameterStatus(conn, "server_version")));
	printf("sent %d\n", PQsendQuery(conn, "SELECT 1"));
	run("unfinished", conn, "SELECT 1");
	printf("nonblocking %d\n", PQisnonblocking(conn));
	printf("copy %d\n", PQputCopyData(conn, "x", 1));
	PQfinish(conn);
	run("other", other, "SELECT 2");
	PQfinish(other);
	return 0;
}
