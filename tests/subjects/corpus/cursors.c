/* Cursors in transactions, one session after another. */
#include "corpus.h"

int main(void)
{
	PGconn *conns[4];

	open_sessions(conns, COUNT(conns));
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < COUNT(conns); i++) {
			run(name_of(i), conns[i], "BEGIN");
			run(name_of(i), conns[i],
			    "DECLARE cur SCROLL CURSOR FOR SELECT generate_series(1, 6)");
			run(name_of(i), conns[i], "FETCH 2 FROM cur");
			run(name_of(i), conns[i], "MOVE 2 IN cur");
			run(name_of(i), conns[i], "FETCH ALL FROM cur");
			run(name_of(i), conns[i], "FETCH BACKWARD 1 FROM cur");
			run(name_of(i), conns[i], "CLOSE cur");
			run(name_of(i), conns[i], round ? "COMMIT" : "ROLLBACK");
			run(name_of(i), conns[i], "FETCH 1 FROM cur");
		}
	finish_sessions(conns, COUNT(conns));
	return 0;
}
