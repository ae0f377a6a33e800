/*
 * Where the real libpq is. Owns the table of its functions and fills it once, at the first call:
 * from what the dynamic linker would have found without us, else from what the caller was linked
 * with, else from any libpq in the process; or before, when the program looks into a libpq by hand.
 * Never loads a libpq, never links one.
 */
#include "libpq.h"
#include "dlsym.h"
#include "say.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct libpq_functions libpq_real;
bool libpq_resolved;

/* The table that won; the same as libpq_real, but there a moment earlier. */
static struct libpq_functions *published;

static void __attribute__((noreturn)) missing(const char *name)
{
	say("this libpq has no %s; the program cannot go on", name);
	_exit(127);
}

#define LIBPQ(kind, result, name, parameters, arguments, extra) \
	static void missing_##name(void) \
	{ \
		missing(#name); \
	}
#include "libpq_table.h"

/* The base address of the object that an address lies in, NULL if in none. */
static void *object_base(void *address)
{
	Dl_info info;

	return dladdr(address, &info) ? info.dli_fbase : NULL;
}

/*
 * Look a name up, but never find ourselves: a handle for the whole program (dlopen(NULL)) leads to
 * our own wrapper, which would then call itself.
 */
static void *look_up(void *handle, const char *name)
{
	void *found = real_dlsym(handle, name);

	return found && object_base(found) != object_base(&published) ? found : NULL;
}

static void fill(struct libpq_functions *functions, void *handle)
{
	void *found;

#define LIBPQ(kind, result, name, parameters, arguments, extra) \
	found = look_up(handle, #name); \
	functions->has_##name = found; \
	functions->name = (result(*) parameters)(found ? found : (void *)missing_##name);
#include "libpq_table.h"
}

/*
 * Make a filled table the one and only; of several threads that come here at once the first wins.
 * No lock: dlsym and dlopen take the loader's, which a caller within a constructor holds already.
 */
static void publish(struct libpq_functions *functions)
{
	struct libpq_functions *none = NULL;

	if (!__atomic_compare_exchange_n(
		&published, &none, functions, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		munmap(functions, sizeof *functions);
		return;
	}
	libpq_real = *functions;
	__atomic_store_n(&libpq_resolved, true, __ATOMIC_RELEASE);
}

/* Drivers are unloaded and handles closed; the libpq that we call into must stay. */
static void keep_loaded(void *address)
{
	Dl_info info;

	if (dladdr(address, &info))
		dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

/* Where the code lies that PQconnectdb is in. */
static int find_code(struct dl_phdr_info *object, size_t size, void *found)
{
	struct libpq_functions *functions = found;
	uintptr_t address = (uintptr_t)functions->PQconnectdb;
	uintptr_t begin = UINTPTR_MAX, end = 0;

	(void)size;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
		uintptr_t start = object->dlpi_addr + segment->p_vaddr;

		if (segment->p_type != PT_LOAD)
			continue;
		begin = start < begin ? start : begin;
		end = start + segment->p_memsz > end ? start + segment->p_memsz : end;
	}
	if (address < begin || address >= end)
		return 0;
	functions->code_begin = begin;
	functions->code_end = end;
	return 1;
}

bool libpq_calls(const void *caller)
{
	const struct libpq_functions *functions = __atomic_load_n(&published, __ATOMIC_ACQUIRE);

	return functions && (uintptr_t)caller >= functions->code_begin &&
	       (uintptr_t)caller < functions->code_end;
}

static bool resolve_from(void *handle)
{
	void *connect = look_up(handle, "PQconnectdb");

	if (!connect)
		return false;
	keep_loaded(connect);
	/* Not malloc: the first call would end a program that runs out of memory just then. */
	struct libpq_functions *functions = mmap(
	    NULL, sizeof *functions, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (functions == MAP_FAILED) {
		say("no memory for the table of libpq's functions; the program cannot go on");
		_exit(127);
	}
	fill(functions, handle);
	dl_iterate_phdr(find_code, functions);
	publish(functions);
	return true;
}

/* Search an object that is already loaded, and what it was linked with. */
static bool resolve_from_file(const char *file)
{
	void *handle = dlopen(file, RTLD_LAZY | RTLD_NOLOAD);

	if (!handle)
		return false;
	bool resolved = resolve_from(handle);
	dlclose(handle);
	return resolved;
}

/* libpq.so.5, or libpq-0123abcd.so.5.17 as a Python wheel brings it; not libpqxx, not ourselves. */
static bool is_libpq(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *file = slash ? slash + 1 : path;

	return strncmp(file, "libpq.so", 8) == 0 || strncmp(file, "libpq-", 6) == 0;
}

/* Only copies the name: dlopen in here would take the loader's locks in the wrong order. */
static int find_libpq(struct dl_phdr_info *object, size_t size, void *path)
{
	(void)size;
	if (!is_libpq(object->dlpi_name))
		return 0;
	snprintf(path, PATH_MAX, "%s", object->dlpi_name);
	return 1;
}

static bool resolve_from_any_libpq(void)
{
	char path[PATH_MAX];

	return dl_iterate_phdr(find_libpq, path) && resolve_from_file(path);
}

/* Names that this libpq lacks are no error of the program, which may ask dlerror next. */
static void forget_loader_errors(void)
{
	dlerror();
}

const struct libpq_functions *libpq_resolve(void *caller)
{
	struct libpq_functions *functions = __atomic_load_n(&published, __ATOMIC_ACQUIRE);
	Dl_info info = {0};

	if (functions)
		return functions;
	const char *file = dladdr(caller, &info) ? info.dli_fname : "the program";
	/* The main program cannot be opened by its file; RTLD_NEXT has searched for it. */
	if (!resolve_from(RTLD_NEXT) && !resolve_from_file(file) && !resolve_from_any_libpq()) {
		say("no libpq found for %s, which calls one; preload one after libpqleash.so",
		    file);
		_exit(127);
	}
	forget_loader_errors();
	return __atomic_load_n(&published, __ATOMIC_ACQUIRE);
}

void libpq_adopt(void *handle)
{
	if (__atomic_load_n(&published, __ATOMIC_ACQUIRE))
		return;
	resolve_from(handle);
	forget_loader_errors();
}
