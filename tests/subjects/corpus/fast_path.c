/* PQfn: functions of the server called by number. */
#include "corpus.h"

/* pg_proc's oids of these are fixed. */
enum { INT4PL = 177, TEXTCAT = 1258, INT4DIV = 154, VERSIONLESS = 4 };

static void add_up(PGconn *conn, int left, int right, int function)
{
	PQArgBlock arguments[] = {
	    {.len = 4, .isint = 1, .u.integer = left}, {.len = 4, .isint = 1, .u.integer = right}};
	int answer = 0, length = 0;
	PGresult *result = PQfn(conn, function, &answer, &length, 1, arguments, 2);

	printf("%d, %d bytes\n", answer, length);
	show("fn", result);
}

static void join(PGconn *conn)
{
	PQArgBlock arguments[] = {{.len = 3, .isint = 0, .u.ptr = (int *)"abc"},
	    {.len = 2, .isint = 0, .u.ptr = (int *)"de"}};
	char answer[16] = "";
	int length = 0;
	PGresult *result = PQfn(conn, TEXTCAT, (int *)answer, &length, 0, arguments, 2);

	printf("[%s], %d bytes\n", answer, length);
	show("fn", result);
}

int main(void)
{
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		add_up(conns[i], 40 + i, 2, INT4PL);
		join(conns[i]);
		add_up(conns[i], 1, 0, INT4DIV);
		add_up(conns[i], 1, 1, VERSIONLESS);
		show_state(name_of(i), conns[i]);
		run(name_of(i), conns[i], "BEGIN");
		add_up(conns[i], 1, 2, INT4PL);
		add_up(conns[i], 1, 0, INT4DIV);
		show_state(name_of(i), conns[i]);
		run(name_of(i), conns[i], "ROLLBACK");
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
