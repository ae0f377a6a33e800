/* What a session answers of itself stays the same, text and address, as others come and go. */
#include "corpus.h"

static char *answers[4][8];

static void ask(int i, PGconn *conn)
{
	char *now[] = {PQdb(conn), PQuser(conn), PQpass(conn), PQhost(conn), PQhostaddr(conn),
	    PQport(conn), PQtty(conn), PQoptions(conn)};

	for (int k = 0; k < COUNT(now); k++)
		if (answers[i][k] && answers[i][k] != now[k])
			printf("%d: address %d has changed\n", i, k);
	memcpy(answers[i], now, sizeof now);
	printf("%d: %s %s [%s] %s [%s] %s [%s] [%s]\n", i, now[0], now[1], now[2],
	    strcmp(now[3], getenv("PGHOST")) == 0 ? "socket" : now[3], now[4],
	    strcmp(now[5], getenv("PGPORT")) == 0 ? "port" : now[5], text(now[6]), now[7]);
	printf("%d: %d %d\n", i, PQserverVersion(conn), PQprotocolVersion(conn));
#ifdef LIBPQ_HAS_FULL_PROTOCOL_VERSION
	printf("%d: %d\n", i, PQfullProtocolVersion(conn));
#endif
#ifdef LIBPQ_HAS_PROMPT_OAUTH_DEVICE
	printf("%d: %d\n", i, PQdefaultAuthDataHook(PQAUTHDATA_PROMPT_OAUTH_DEVICE, conn, NULL));
#endif
}

int main(void)
{
	PGconn *conns[] = {PQconnectdb(""), PQconnectdb("password=secret"),
	    PQconnectdb("host=127.0.0.1"),
	    PQconnectdb("host=localhost hostaddr=127.0.0.1 "
			"options='-c work_mem=2MB'")};

	for (int round = 0; round < 3; round++)
		for (int i = 0; i < COUNT(conns); i++) {
			ask(i, conns[i]);
			run(name_of(i), conns[i], "SELECT inet_server_addr()");
			ask(i, conns[i]);
		}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
