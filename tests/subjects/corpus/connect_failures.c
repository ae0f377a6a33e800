/* Connects that the server or libpq refuses: what they say, and what PQreset says then. */
/* beside: 1, what libpq has closed itself for its target_session_attrs: it does not wait for its end */
#include "corpus.h"

static PGconn *refused(const char *way)
{
	PGconn *conn = PQconnectdb(way);

	show_state(way, conn);
	return conn;
}

int main(void)
{
	static const char *const by_server[] = {"dbname=no_such_database", "user=no_such_user",
	    "host=/no/such/folder", "host=127.0.0.1 port=1", "options=-cwork_mem=-7",
	    "client_encoding=KLINGON", "target_session_attrs=standby", "sslmode=require",
	    "replication=maybe"};
	static const char *const by_libpq[] = {"port=none", "sslmode=never", "no_such_option=1",
	    "dbname='unfinished", "postgresql://[::1/", "connect_timeout=soon",
	    "service=no_such_service"};
	PGconn *good = open_session("");

	for (int i = 0; i < COUNT(by_server); i++) {
		PGconn *conn = refused(by_server[i]);

		PQreset(conn);
		show_state("reset", conn);
		run("good", good, "SELECT 1");
		PQfinish(conn);
	}
	for (int i = 0; i < COUNT(by_libpq); i++)
		PQfinish(refused(by_libpq[i]));
	PQfinish(good);
	return 0;
}
