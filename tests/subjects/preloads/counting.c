/*
 * A preload that stands between libpqleash.so and libpq, or alone before libpq: writes the name of
 * every libpq function of the table that is called through it, one a line, to the file named by
 * COUNTING_LOG, and calls the next one. libpq calls itself through the PLT, so those calls are in
 * the log too.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <libpq-events.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* High up: a connection must get the number that it would have had without us. */
static int open_log(void)
{
	const char *file = getenv("COUNTING_LOG");
	int low = file ? open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	int high = fcntl(low, F_DUPFD_CLOEXEC, 100);

	if (high < 0)
		abort();
	close(low);
	return high;
}

static void write_name(const char *name)
{
	static int descriptor = -1;
	char line[64] = "";

	if (descriptor < 0)
		descriptor = open_log();
	strncat(line, name, sizeof line - 2);
	strcat(line, "\n");
	if (write(descriptor, line, strlen(line)) < 0)
		abort();
}

/*
 * Under a name of our own, so that no header's prototype is in the way; the linker sees libpq's. A
 * function that this libpq lacks is called by nobody but pqleash, which believes it to be there;
 * one that leads back here was looked up from somewhere else.
 */
#define LIBPQ(kind, result, name, parameters, arguments, extra) \
	__attribute__((visibility("default"))) result counted_##name parameters __asm__(#name); \
	result counted_##name parameters \
	{ \
		static result(*next) parameters; \
		if (!next) \
			*(void **)&next = dlsym(RTLD_NEXT, #name); \
		if (!next) \
			return (result)0; \
		if (next == counted_##name) \
			abort(); \
		write_name(#name); \
		return next arguments; \
	}
#include "../../../shim/preload/libpq_table.h"
