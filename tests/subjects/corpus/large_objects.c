/* Large objects: read, write, seek, tell, truncate, in 32 and 64 bits. */
#include "corpus.h"

#include <libpq/libpq-fs.h>

static void play(PGconn *conn, Oid object)
{
	char buffer[32] = "";

	run("begin", conn, "BEGIN");
	int fd = lo_open(conn, object, INV_READ | INV_WRITE);
	printf("open %d, write %d\n", fd, lo_write(conn, fd, "hello, large world", 18));
	printf("tell %d, seek %d, tell64 %lld\n", lo_tell(conn, fd),
	    lo_lseek(conn, fd, 7, SEEK_SET), (long long)lo_tell64(conn, fd));
	printf("read %d [%s]\n", lo_read(conn, fd, buffer, 5), buffer);
	printf("seek64 %lld\n", (long long)lo_lseek64(conn, fd, 5000000000, SEEK_SET));
	printf("write %d, tell64 %lld, tell %d\n", lo_write(conn, fd, "far", 3),
	    (long long)lo_tell64(conn, fd), lo_tell(conn, fd));
	printf("error %s", PQerrorMessage(conn));
	run("rollback", conn, "ROLLBACK");
	run("begin", conn, "BEGIN");
	fd = lo_open(conn, object, INV_READ | INV_WRITE);
	lo_write(conn, fd, "0123456789", 10);
	printf("truncate64 %d, end %lld\n", lo_truncate64(conn, fd, 20),
	    (long long)lo_lseek64(conn, fd, 0, SEEK_END));
	printf("truncate %d, end %d\n", lo_truncate(conn, fd, 4), lo_lseek(conn, fd, 0, SEEK_END));
	printf("back %d\n", lo_lseek(conn, fd, -2, SEEK_CUR));
	memset(buffer, 0, sizeof buffer);
	printf("read %d [%s]\n", lo_read(conn, fd, buffer, sizeof buffer), buffer);
	printf("close %d\n", lo_close(conn, fd));
	run("commit", conn, "COMMIT");
}

int main(void)
{
	PGconn *conns[4];

	prepare_database("");
	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		Oid made = i % 2 ? lo_creat(conns[i], INV_READ | INV_WRITE)
				 : lo_create(conns[i], 70000 + (Oid)i);

		printf("made %d, as asked %d\n", made != InvalidOid, made == 70000 + (Oid)i);
		play(conns[i], made);
		run("contents", conns[(i + 1) % COUNT(conns)],
		    "SELECT data FROM pg_largeobject ORDER BY loid");
		printf("unlink %d\n", lo_unlink(conns[i], made));
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
