/* What a session tells of its encryption, with and without. */
#include "corpus.h"

static void show_attributes(PGconn *conn)
{
	const char *const *names = PQsslAttributeNames(conn);

	for (int i = 0; names[i]; i++)
		printf("%s is %s\n", names[i], text(PQsslAttribute(conn, names[i])));
	printf("no such attribute: %s\n", text(PQsslAttribute(conn, "colour")));
}

static void ask(const char *who, PGconn *conn)
{
	char password[20] = "";

	printf("%s: ssl %d, gss %d\n", who, PQsslInUse(conn), PQgssEncInUse(conn));
	show_attributes(conn);
	printf("%s: password for the key %d", who,
	    PQdefaultSSLKeyPassHook_OpenSSL(password, sizeof password, conn));
	printf(" [%s]\n", password);
	run(who, conn, "SELECT inet_server_addr()");
}

/* Internals belong to one connection for good, so these sessions come one after the other. */
static void ask_internals(const char *who, const char *conninfo)
{
	PGconn *conn = open_session(conninfo);

	printf("%s: OpenSSL %d %d, other %d, GSS %d\n", who, PQgetssl(conn) != NULL,
	    PQsslStruct(conn, "OpenSSL") == PQgetssl(conn), PQsslStruct(conn, "other") != NULL,
	    PQgetgssctx(conn) != NULL);
	run(who, conn, "SELECT 'well'");
	printf("%s: the same %d\n", who, PQsslStruct(conn, "OpenSSL") == PQgetssl(conn));
	PQfinish(conn);
}

int main(void)
{
	static const char *const ways[] = {"", "host=127.0.0.1",
	    "host=127.0.0.1 sslmode=require sslpassword=secret", "host=127.0.0.1 sslmode=disable"};
	PGconn *conns[COUNT(ways)];

	for (int i = 0; i < COUNT(ways); i++)
		conns[i] = open_session(ways[i]);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < COUNT(ways); i++)
			ask(name_of(i), conns[i]);
	finish_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(ways); i++)
		ask_internals(name_of(i), ways[i]);
	return 0;
}
