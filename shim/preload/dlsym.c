/*
 * dlsym, interposed: a program that looks a libpq function up in a libpq gets our wrapper, or it
 * would hand one of our sessions to the real libpq. Every other lookup is a tail call, because
 * RTLD_NEXT looks at its caller's return address: another preload's must still be its own. The
 * Makefile builds this file with sibling-call optimisation whatever the other flags are.
 */
#include "dlsym.h"
#include "libpq.h"
#include "settings.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#if defined(__clang__) && __has_attribute(musttail)
#define TAIL_CALL __attribute__((musttail)) return
#else
#define TAIL_CALL return
#endif

typedef void *dlsym_function(void *handle, const char *name);

/* The symbol's version differs between architectures and since glibc 2.34. */
static dlsym_function *next_dlsym(void)
{
	static const char *const versions[] = {
	    "GLIBC_2.34", "GLIBC_2.17", "GLIBC_2.2.5", "GLIBC_2.0"};
	static dlsym_function *next;
	dlsym_function *found = __atomic_load_n(&next, __ATOMIC_ACQUIRE);

	for (size_t i = 0; !found && i < sizeof versions / sizeof *versions; i++)
		*(void **)&found = dlvsym(RTLD_NEXT, "dlsym", versions[i]);
	__atomic_store_n(&next, found, __ATOMIC_RELEASE);
	return found;
}

void *real_dlsym(void *handle, const char *name)
{
	dlsym_function *next = next_dlsym();

	return next ? next(handle, name) : NULL;
}

struct wrapper {
	const char *name;
	void *wrapper;
	size_t slot; /* offset of the real function's pointer in struct libpq_functions */
};

static const struct wrapper *find_wrapper(const char *name)
{
	static const struct wrapper wrappers[] = {
#define LIBPQ_CALL(name)
#define LIBPQ_WRAPPED(name) {#name, (void *)wrap_##name, offsetof(struct libpq_functions, name)},
#define LIBPQ_OWN(name) LIBPQ_WRAPPED(name)
#define LIBPQ_KEPT(name) LIBPQ_WRAPPED(name)
#define LIBPQ_STATE(name) LIBPQ_WRAPPED(name)
#define LIBPQ_SEND(name) LIBPQ_WRAPPED(name)
#define LIBPQ_USE(name) LIBPQ_WRAPPED(name)
#define LIBPQ_ASK(name) LIBPQ_WRAPPED(name)
#define LIBPQ(kind, result, name, parameters, arguments, ...) LIBPQ_##kind(name)
#include "libpq_table.h"
	};

	for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++)
		if (strcmp(wrappers[i].name, name) == 0)
			return &wrappers[i];
	return NULL;
}

/* A lookup of a libpq function: our wrapper where the real one exists and is the one we call. */
static void *look_up_libpq(void *handle, const char *name, const struct wrapper *wrapper)
{
	void *found = real_dlsym(handle, name);

	if (found == wrapper->wrapper) {
		/* Global scope: what would have been found, had we not been there? */
		handle = RTLD_NEXT;
		found = real_dlsym(RTLD_NEXT, name);
	}
	if (!found || !settings()->on)
		return found;
	libpq_adopt(handle);
	if (!__atomic_load_n(&libpq_resolved, __ATOMIC_ACQUIRE))
		return found;
	/* A second libpq in the process is left alone: its connections are never ours. */
	const void *called = *(void *const *)((const char *)&libpq_real + wrapper->slot);
	return found == called ? wrapper->wrapper : found;
}

__attribute__((visibility("default"))) void *dlsym(void *handle, const char *name)
{
	const struct wrapper *wrapper = NULL;

	if (handle != RTLD_NEXT && (strncmp(name, "PQ", 2) == 0 || strncmp(name, "lo_", 3) == 0))
		wrapper = find_wrapper(name);
	if (wrapper)
		return look_up_libpq(handle, name, wrapper);
	dlsym_function *next = next_dlsym();
	TAIL_CALL next(handle, name);
}
