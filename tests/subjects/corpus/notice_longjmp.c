/* A notice processor that leaves the call by longjmp, and what the session is good for then. */
#include "corpus.h"

#include <setjmp.h>

static jmp_buf out;

static void jump(void *argument, const char *message)
{
	printf("%s jumps: %s", (const char *)argument, message);
	longjmp(out, 1);
}

static void go(const char *who, PGconn *conn)
{
	if (setjmp(out) == 0) {
		run(who, conn, "COMMIT; SELECT 'not seen'");
		printf("%s: no jump\n", who);
	} else
		printf("%s: out\n", who);
}

int main(void)
{
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		PQsetNoticeProcessor(conns[i], jump, (void *)name_of(i));
		go(name_of(i), conns[i]);
		PQreset(conns[i]);
		show_state(name_of(i), conns[i]);
		run(name_of(i), conns[i], "SELECT 'after reset'");
	}
	for (int i = 0; i < COUNT(conns); i++)
		run(name_of(i), conns[i], "SELECT 'all is well'");
	go("a", conns[0]);
	PQfinish(conns[0]);
	for (int i = 1; i < COUNT(conns); i++) {
		run(name_of(i), conns[i], "SELECT 'still'");
		PQfinish(conns[i]);
	}
	return 0;
}
