/*
 * A preload that looks at all memory that libpqleash.so gives back, by itself or through libpq's
 * PQconninfoFree and PQfreemem. Tells on stderr what still holds the text SECRETS, and at the end how
 * many blocks there were.
 */
#include "code_of.h"

#include <dlfcn.h>
#include <libpq-fe.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *secret;
static struct code ours;
static long seen;

__attribute__((constructor)) static void begin(void)
{
	secret = getenv("SECRETS");
	ours = code_of("libpqleash.so");
}

__attribute__((destructor)) static void end(void)
{
	dprintf(STDERR_FILENO, "secrets: %ld blocks\n", seen);
}

static void look(const void *memory, const void *caller)
{
	if (!secret || !memory || !is_within(&ours, caller))
		return;
	__atomic_add_fetch(&seen, 1, __ATOMIC_RELAXED);
	if (memmem(memory, malloc_usable_size((void *)memory), secret, strlen(secret)))
		dprintf(STDERR_FILENO, "secrets: found in what libpqleash.so+%#lx gives back\n",
		    (unsigned long)((uintptr_t)caller - ours.begin));
}

#define CALLER __builtin_return_address(0)
#define FIND_NEXT(name) \
	if (!next) \
	*(void **)&next = dlsym(RTLD_NEXT, #name)

/* Not looked up: to look something up may free the message of a look-up that failed before. */
extern void __libc_free(void *memory);
extern void *__libc_realloc(void *memory, size_t size);

__attribute__((visibility("default"))) void free(void *memory)
{
	look(memory, CALLER);
	__libc_free(memory);
}

__attribute__((visibility("default"))) void *realloc(void *memory, size_t size)
{
	look(memory, CALLER);
	return __libc_realloc(memory, size);
}

__attribute__((visibility("default"))) void PQfreemem(void *memory)
{
	static void (*next)(void *);

	FIND_NEXT(PQfreemem);
	look(memory, CALLER);
	next(memory);
}

__attribute__((visibility("default"))) void PQconninfoFree(PQconninfoOption *options)
{
	static void (*next)(PQconninfoOption *);

	FIND_NEXT(PQconninfoFree);
	for (PQconninfoOption *option = options; option && option->keyword; option++)
		look(option->val, CALLER);
	next(options);
}
