/*
 * A library whose constructor connects, while the loader's lock is held for it: the program that opens
 * it has another thread connect just then (tests/subjects/constructors.c).
 */
#include "../constructors.h"

__attribute__((constructor)) static void connect_early(void)
{
	stage = CONSTRUCTOR_RUNS;
	while (stage != THREAD_CONNECTS)
		wait_ms(1);
	/* It is on its way by now, or waits for the loader. */
	wait_ms(300);
	tell("constructor");
}
