/* COPY TO STDOUT with PQgetCopyData, waiting and not. */
#include "corpus.h"

static void fetch(const char *who, PGconn *conn, int async)
{
	char *row = NULL;
	int length;

	while ((length = PQgetCopyData(conn, &row, async)) >= 0) {
		if (length == 0) {
			wait_for_input(conn);
			PQconsumeInput(conn);
			continue;
		}
		printf("%s: %d %s", who, length, row);
		PQfreemem(row);
	}
	printf("%s: end %d, row %s\n", who, length, text(row));
}

int main(void)
{
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < COUNT(conns); i++) {
			run(name_of(i), conns[i],
			    "COPY (SELECT n, n * n, NULL FROM generate_series(1, 5) n) TO STDOUT");
			show_state(name_of(i), conns[i]);
			fetch(name_of(i), conns[i], round);
			drain(name_of(i), conns[i]);
			run(name_of(i), conns[i], "COPY (SELECT 'a,b') TO STDOUT (FORMAT csv)");
			fetch(name_of(i), conns[i], round);
			drain(name_of(i), conns[i]);
			run(name_of(i), conns[i],
			    "COPY (SELECT 1/(3-n) FROM generate_series(1, 5) n) TO STDOUT");
			fetch(name_of(i), conns[i], round);
			drain(name_of(i), conns[i]);
			show_state(name_of(i), conns[i]);
		}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
