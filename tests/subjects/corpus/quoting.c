/* The quoting functions of a session, which follow its encoding and standard_conforming_strings. */
#include "corpus.h"

static void quote(const char *who, PGconn *conn, const char *value)
{
	char quoted[100];
	int error = 7;
	size_t length = PQescapeStringConn(conn, quoted, value, strlen(value), &error);
	char *literal = PQescapeLiteral(conn, value, strlen(value));
	char *identifier = PQescapeIdentifier(conn, value, strlen(value));

	printf("%s: %zu [%s] error %d, %s, %s\n", who, length, quoted, error, text(literal),
	    text(identifier));
	if (!literal || !identifier)
		show_state(who, conn);
	PQfreemem(literal);
	PQfreemem(identifier);
}

static void quote_bytes(const char *who, PGconn *conn)
{
	size_t length = 0;
	unsigned char *bytes =
	    PQescapeByteaConn(conn, (const unsigned char *)"a\0'\\\377", 5, &length);

	printf("%s: %zu [%s]\n", who, length, bytes);
	PQfreemem(bytes);
}

int main(void)
{
	static const char *const values[] = {
	    "plain", "it's", "back\\slash", "\"quoted\"", "", "\303\244 umlaut", "cut off \303"};
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	run("b", conns[1], "SET standard_conforming_strings = off");
	run("c", conns[2], "SET client_encoding = 'LATIN1'");
	run("d", conns[3], "SET client_encoding = 'SJIS'");
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < COUNT(conns); i++) {
			for (int k = 0; k < COUNT(values); k++)
				quote(name_of(i), conns[i], values[k]);
			quote_bytes(name_of(i), conns[i]);
			run(name_of(i), conns[i], "SHOW standard_conforming_strings");
		}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
