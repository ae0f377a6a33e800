/*
 * libpq from both sides, both made from libpq_table.h. Towards the program: the wrappers, exported
 * under libpq's own names. Towards us: the real functions, found at the first call, since this
 * object never links libpq. Everything in preload/ calls libpq through REAL; by its name it would
 * call our wrapper.
 */
#ifndef PRELOAD_LIBPQ_H
#define PRELOAD_LIBPQ_H

#include <libpq-events.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * In C the wrapper of PQexec is wrap_PQexec, in ELF it is PQexec: so it cannot disagree with the
 * prototype in libpq-fe.h, whatever that header's release.
 */
#define LIBPQ(kind, ...) LIBPQ_##kind(__VA_ARGS__)
#define LIBPQ_WRAPPER(result, name, parameters, arguments, extra) \
	__attribute__((visibility("default"))) result wrap_##name parameters __asm__(#name);
#define LIBPQ_OWN(...) LIBPQ_WRAPPER(__VA_ARGS__)
#define LIBPQ_KEPT(...) LIBPQ_WRAPPER(__VA_ARGS__)
#define LIBPQ_STATE(...) LIBPQ_WRAPPER(__VA_ARGS__)
#define LIBPQ_USE(...) LIBPQ_WRAPPER(__VA_ARGS__)
#define LIBPQ_ADD(...) LIBPQ_WRAPPER(__VA_ARGS__)
#define LIBPQ_LOCAL(...) LIBPQ_WRAPPER(__VA_ARGS__)
#define LIBPQ_ASK(...) LIBPQ_WRAPPER(__VA_ARGS__)
#define LIBPQ_CALL(result, name, parameters, arguments, extra)
#include "libpq_table.h"
#undef LIBPQ_WRAPPER

#pragma GCC visibility push(hidden)

/* The real functions. None is NULL: one that this libpq lacks says so and ends the process. */
struct libpq_functions {
#define LIBPQ(kind, result, name, parameters, arguments, extra) result(*name) parameters;
#include "libpq_table.h"
#define LIBPQ(kind, result, name, parameters, arguments, extra) bool has_##name;
#include "libpq_table.h"
	uintptr_t code_begin, code_end; /* where this libpq's own code lies */
};

/* Valid once libpq_resolved, and constant from then on. Read them through REAL and HAS. */
extern struct libpq_functions libpq_real;
extern bool libpq_resolved;

/*
 * Find the real functions, or end the process with one line on stderr. Any thread may call it, also
 * when others do; all get the same table.
 *   caller  an address in the object whose libpq is wanted, as where the wrapper returns to
 */
const struct libpq_functions *libpq_resolve(void *caller);

/*
 * Take the real functions from an object that the program opened, unless they are known already or
 * it has no libpq. Any thread may call it.
 *   handle  from dlopen; the program may close it afterwards
 */
void libpq_adopt(void *handle);

/* Whether an address is in the code of the libpq whose functions these are: libpq calls itself. */
bool libpq_calls(const void *caller);

#pragma GCC visibility pop

/*
 * The table of real functions. The return address tells whose libpq is meant, so it must be a
 * wrapper's: one that leaves libpq to other functions begins with RESOLVE().
 */
/* clang-format off */
#define RESOLVED() \
	(__builtin_expect(__atomic_load_n(&libpq_resolved, __ATOMIC_ACQUIRE), 1) \
		? &libpq_real : libpq_resolve(__builtin_return_address(0)))
/* clang-format on */
#define RESOLVE() ((void)RESOLVED())

/* REAL(PQexec)(conn, "SELECT 1") */
#define REAL(name) (RESOLVED()->name)

/* Does this libpq have the function? To be asked before REAL of one marked "since" in the table. */
#define HAS(name) (RESOLVED()->has_##name)

#endif
