/*
 * A preload under which memory runs out at one moment: the allocation number STARVING_AT, and as many
 * after it as STARVING_FOR says (1), fail. Only those count that an object makes whose file is named
 * like STARVING_OF ("libpqleash.so", "libpq.so"), told by their return address. At the end the file
 * STARVING_LOG gets how many there were.
 */
#include "code_of.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct code counting; /* the object whose allocations count */
static long at, how_many = 1, counted;

__attribute__((constructor)) static void begin(void)
{
	const char *of = getenv("STARVING_OF"), *first = getenv("STARVING_AT");
	const char *number = getenv("STARVING_FOR");

	at = first ? atol(first) : 0;
	how_many = number ? atol(number) : 1;
	if (of)
		counting = code_of(of);
}

__attribute__((destructor)) static void end(void)
{
	const char *log = getenv("STARVING_LOG");
	int file = log ? open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;

	if (file >= 0)
		dprintf(file, "%ld\n", counted);
}

static int starves(const void *caller)
{
	if (!is_within(&counting, caller))
		return 0;
	long number = __atomic_add_fetch(&counted, 1, __ATOMIC_RELAXED);
	if (at == 0 || number < at || number >= at + how_many)
		return 0;
	errno = ENOMEM;
	return 1;
}

/* The next object's function, so that valgrind's is found where it stands in. */
#define DEFINE(result, name, parameters, arguments) \
	__attribute__((visibility("default"))) result name parameters \
	{ \
		static result(*next) parameters; \
		if (!next) \
			*(void **)&next = dlsym(RTLD_NEXT, #name); \
		return starves(__builtin_return_address(0)) ? NULL : next arguments; \
	}

DEFINE(void *, malloc, (size_t size), (size))
DEFINE(void *, calloc, (size_t count, size_t size), (count, size))
DEFINE(void *, realloc, (void *old, size_t size), (old, size))
DEFINE(char *, strdup, (const char *text), (text))
DEFINE(char *, strndup, (const char *text, size_t length), (text, length))
