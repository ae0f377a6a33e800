/* Passwords: what the session was given, whether it was used, and their encryption. */
#include "corpus.h"

static void show_encrypted(PGconn *conn, const char *algorithm)
{
	char *encrypted = PQencryptPasswordConn(conn, "secret", "user", algorithm);

	/* The salt of SCRAM is another one in every run. */
	printf("%s: %.*s\n", text(algorithm), encrypted && *encrypted == 'm' ? 40 : 18,
	    text(encrypted));
	if (!encrypted)
		show_state("not encrypted", conn);
	PQfreemem(encrypted);
}

int main(void)
{
	PGconn *conns[] = {open_session(""), open_session("password=known"),
	    open_session("host=127.0.0.1 password=other"), open_session("")};

	run("d", conns[3], "SET password_encryption = 'md5'");
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < COUNT(conns); i++) {
			printf("%s: [%s] needed %d used %d\n", name_of(i), PQpass(conns[i]),
			    PQconnectionNeedsPassword(conns[i]),
			    PQconnectionUsedPassword(conns[i]));
			show_encrypted(conns[i], "md5");
			show_encrypted(conns[i], "scram-sha-256");
			show_encrypted(conns[i], NULL);
			show_encrypted(conns[i], "rot13");
			run(name_of(i), conns[i], "SHOW password_encryption");
		}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
