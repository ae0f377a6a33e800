/*
 * Opens a library whose constructor connects, while another thread makes the process's first connect.
 *
 * usage: constructors LIBRARY
 */
#include "constructors.h"

#include <dlfcn.h>
#include <pthread.h>

atomic_int stage;

static void *connect_meanwhile(void *nothing)
{
	while (stage != CONSTRUCTOR_RUNS)
		wait_ms(1);
	stage = THREAD_CONNECTS;
	tell("thread");
	return nothing;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	/* Something of libpq has been called before. */
	PQstatus(NULL);
	if (argc != 2 || pthread_create(&thread, NULL, connect_meanwhile, NULL) != 0)
		return 2;
	if (!dlopen(argv[1], RTLD_NOW))
		printf("%s\n", dlerror());
	pthread_join(thread, NULL);
	return 0;
}
