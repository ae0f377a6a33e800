/* Large object calls that fail, in and out of transactions. */
#include "corpus.h"

#include <libpq/libpq-fs.h>

static void fail(PGconn *conn)
{
	char buffer[4];

	show_answer("open", lo_open(conn, 1, INV_READ), conn);
	show_answer("close", lo_close(conn, 7), conn);
	show_answer("read", lo_read(conn, 7, buffer, 4), conn);
	show_answer("write", lo_write(conn, 7, "x", 1), conn);
	show_answer("seek", lo_lseek(conn, 7, 0, 9), conn);
	show_answer("seek64", lo_lseek64(conn, 7, 0, 0), conn);
	show_answer("tell", lo_tell(conn, 7), conn);
	show_answer("tell64", lo_tell64(conn, 7), conn);
	show_answer("truncate", lo_truncate(conn, 7, 1), conn);
	show_answer("truncate", lo_truncate(conn, 7, (size_t)1 << 40), conn);
	show_answer("truncate64", lo_truncate64(conn, 7, -1), conn);
	show_answer("unlink", lo_unlink(conn, 1), conn);
	show_answer("read much", lo_read(conn, 7, buffer, (size_t)1 << 40), conn);
}

int main(void)
{
	PGconn *conns[4];

	prepare_database("");
	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		fail(conns[i]);
		run(name_of(i), conns[i], "BEGIN");
		fail(conns[i]);
		show_state(name_of(i), conns[i]);
		run(name_of(i), conns[i], "ROLLBACK");
		Oid made = lo_create(conns[i], 90000);
		show_answer("again", lo_create(conns[i], 90000) != InvalidOid, conns[i]);
		printf("unlink %d\n", lo_unlink(conns[i], made));
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
