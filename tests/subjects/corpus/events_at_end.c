/* An event procedure that uses other sessions while its own is being destroyed. */
/* needs: 2, for a session with event procedures does not move */
#include "corpus.h"

static PGconn *other;

static int use_other(PGEventId event, void *info, void *data)
{
	char quoted[64];
	char *literal;

	(void)info;
	(void)data;
	if (event != PGEVT_CONNDESTROY)
		return 1;
	puts("destroyed");
	PQescapeStringConn(other, quoted, "it's", 4, NULL);
	literal = PQescapeLiteral(other, "it's", 4);
	printf("%s %s\n", quoted, text(literal));
	PQfreemem(literal);
	run("other", other, "SHOW work_mem");
	return 1;
}

int main(void)
{
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	other = conns[3];
	run("d", other, "SET work_mem = '7MB'");
	for (int i = 0; i < 3; i++)
		run(name_of(i), conns[i], "SELECT 1");
	PQregisterEventProc(conns[0], use_other, "of a", NULL);
	PQfinish(conns[0]);
	for (int i = 1; i < COUNT(conns); i++)
		run(name_of(i), conns[i], "SHOW work_mem");
	PQregisterEventProc(conns[1], use_other, "of b", NULL);
	finish_sessions(conns + 1, COUNT(conns) - 1);
	return 0;
}
