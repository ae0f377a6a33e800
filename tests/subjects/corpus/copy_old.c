/* The COPY functions of old: PQputline, PQputnbytes, PQgetline, PQgetlineAsync, PQendcopy. */
#include "corpus.h"

static void get_lines(const char *who, PGconn *conn)
{
	char line[6];
	int status;

	do {
		status = PQgetline(conn, line, sizeof line);
		printf("%s: %d [%s]\n", who, status, line);
	} while (status >= 0 && strcmp(line, "\\.") != 0);
	printf("%s: end %d\n", who, PQendcopy(conn));
}

static void get_lines_async(const char *who, PGconn *conn)
{
	char buffer[8];
	int length;

	while ((length = PQgetlineAsync(conn, buffer, sizeof buffer)) >= 0) {
		if (length == 0) {
			wait_for_input(conn);
			PQconsumeInput(conn);
		} else
			printf("%s: %d [%.*s]\n", who, length, length, buffer);
	}
	printf("%s: end %d\n", who, PQendcopy(conn));
}

int main(void)
{
	PGconn *conns[4];

	prepare_database("CREATE TABLE t (a int, b text)");
	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		run(name_of(i), conns[i], "COPY t FROM STDIN");
		printf("put %d %d", PQputline(conns[i], "1\tone\n"),
		    PQputnbytes(conns[i], "2\ttwo-two\n", 10));
		printf(" end %d\n", PQendcopy(conns[i]));
		run(name_of(i), conns[i], "COPY t FROM STDIN");
		printf("put %d", PQputline(conns[i], "bad\n\\.\n"));
		show_answer(" end", PQendcopy(conns[i]), conns[i]);
		run(name_of(i), conns[i], "COPY (SELECT * FROM t ORDER BY a LIMIT 2) TO STDOUT");
		get_lines(name_of(i), conns[i]);
		run(name_of(i), conns[i], "COPY (SELECT 'x', 'long enough') TO STDOUT");
		get_lines_async(name_of(i), conns[i]);
		run(name_of(i), conns[i], "SELECT count(*) FROM t");
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
