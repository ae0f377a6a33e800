/*
 * dlsym and dlvsym, interposed: a program that looks a libpq function up in a libpq gets our
 * wrapper, or it would hand one of our sessions to the real libpq. Every other lookup is a tail
 * call, because RTLD_NEXT looks at its caller's return address: another preload's must still be its
 * own. A preload in front of us that asks for libc's dlsym by its version gets past us. The Makefile
 * builds this file with sibling-call optimisation whatever the other flags are.
 */
#include "dlsym.h"
#include "elf_symbol.h"
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
typedef void *dlvsym_function(void *handle, const char *name, const char *version);

/* libc's own dlsym. Called from here, its RTLD_NEXT is what comes after us. */
static dlsym_function *libc_dlsym(void)
{
	static void *cache;
	void *found = __atomic_load_n(&cache, __ATOMIC_ACQUIRE);

	if (!found) {
		found = elf_libc_function("dlsym");
		__atomic_store_n(&cache, found, __ATOMIC_RELEASE);
	}
	return (dlsym_function *)found;
}

/*
 * What comes after our own dlsym or dlvsym: another preload's, or libc's. Without a version: a
 * preload's has none.
 */
static void *next_function(const char *name, void **cache)
{
	void *found = __atomic_load_n(cache, __ATOMIC_ACQUIRE);

	if (found)
		return found;
	dlsym_function *look_up = libc_dlsym();
	if (look_up)
		found = look_up(RTLD_NEXT, name);
	__atomic_store_n(cache, found, __ATOMIC_RELEASE);
	return found;
}

static dlsym_function *next_dlsym(void)
{
	static void *cache;

	return (dlsym_function *)next_function("dlsym", &cache);
}

static dlvsym_function *next_dlvsym(void)
{
	static void *cache;

	return (dlvsym_function *)next_function("dlvsym", &cache);
}

void *real_dlsym(void *handle, const char *name)
{
	dlsym_function *look_up = libc_dlsym();

	return look_up ? look_up(handle, name) : NULL;
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
#define LIBPQ_USE(name) LIBPQ_WRAPPED(name)
#define LIBPQ_ADD(name) LIBPQ_WRAPPED(name)
#define LIBPQ_LOCAL(name) LIBPQ_WRAPPED(name)
#define LIBPQ_ASK(name) LIBPQ_WRAPPED(name)
#define LIBPQ(kind, result, name, parameters, arguments, ...) LIBPQ_##kind(name)
#include "libpq_table.h"
	};

	for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++)
		if (strcmp(wrappers[i].name, name) == 0)
			return &wrappers[i];
	return NULL;
}

/*
 * Our wrapper instead of what a look-up found, where that is the function which our wrapper calls.
 */
static void *instead_of(void *found, void *handle, const struct wrapper *wrapper)
{
	if (found == wrapper->wrapper) {
		/* Global scope: what would have been found, had we not been there? */
		handle = RTLD_NEXT;
		found = real_dlsym(RTLD_NEXT, wrapper->name);
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

static const struct wrapper *wrapper_for(const void *handle, const char *name)
{
	/* No function of libc before this is known to be libpq's: see elf_symbol.c. */
	bool may_be_libpq = (name[0] == 'P' && name[1] == 'Q') ||
			    (name[0] == 'l' && name[1] == 'o' && name[2] == '_');

	return may_be_libpq && handle != RTLD_NEXT ? find_wrapper(name) : NULL;
}

__attribute__((visibility("default"))) void *dlsym(void *handle, const char *name)
{
	const struct wrapper *wrapper = wrapper_for(handle, name);
	dlsym_function *next = next_dlsym();

	if (wrapper)
		return instead_of(next(handle, name), handle, wrapper);
	TAIL_CALL next(handle, name);
}

__attribute__((visibility("default"))) void *dlvsym(
    void *handle, const char *name, const char *version)
{
	const struct wrapper *wrapper = wrapper_for(handle, name);
	dlvsym_function *next = next_dlvsym();

	if (wrapper)
		return instead_of(next(handle, name, version), handle, wrapper);
	TAIL_CALL next(handle, name, version);
}
