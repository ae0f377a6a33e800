/* Client encodings: each session keeps its own, however it was set. */
#include "corpus.h"

static void ask(const char *who, PGconn *conn)
{
	printf("%s: %s, parameter %s\n", who, pg_encoding_to_char(PQclientEncoding(conn)),
	    text(PQparameterStatus(conn, "client_encoding")));
	run(who, conn, "SHOW client_encoding");
	run(who, conn, "SELECT chr(228) AS \"\\u\"");
}

int main(void)
{
	PGconn *conns[] = {open_session(""), open_session("client_encoding=LATIN1"),
	    open_session(""), open_session("client_encoding=auto"),
	    open_session("options='-c client_encoding=EUC_JP'")};

	for (int i = 0; i < COUNT(conns); i++)
		ask(name_of(i), conns[i]);
	show_answer("set", PQsetClientEncoding(conns[0], "LATIN2"), conns[0]);
	show_answer("not set", PQsetClientEncoding(conns[1], "KLINGON"), conns[1]);
	run("c", conns[2], "SET client_encoding = 'WIN1252'");
	run("d", conns[3], "SET NAMES 'UTF8'");
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < COUNT(conns); i++)
			ask(name_of(i), conns[i]);
	run("a", conns[0], "RESET client_encoding");
	run("c", conns[2], "BEGIN; SET LOCAL client_encoding = 'LATIN9'");
	printf("local %s\n", pg_encoding_to_char(PQclientEncoding(conns[2])));
	run("c", conns[2], "ROLLBACK");
	for (int i = 0; i < COUNT(conns); i++)
		ask(name_of(i), conns[i]);
	finish_sessions(conns, COUNT(conns));
	return 0;
}
