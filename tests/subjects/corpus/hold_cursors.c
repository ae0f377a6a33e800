/* needs: 2 backends, both with a cursor WITH HOLD, which cannot be moved */
/* Cursors that outlive their transaction. */
#include "corpus.h"

int main(void)
{
	PGconn *conns[2];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++)
		run(name_of(i), conns[i],
		    "DECLARE cur CURSOR WITH HOLD FOR SELECT generate_series(1, 4)");
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < COUNT(conns); i++)
			run(name_of(i), conns[i], "FETCH 2 FROM cur");
	for (int i = 0; i < COUNT(conns); i++) {
		run(name_of(i), conns[i], "CLOSE cur");
		run(name_of(i), conns[i], "SELECT name FROM pg_cursors");
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
