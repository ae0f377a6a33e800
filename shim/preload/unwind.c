/*
 * Stack unwinding through our frames, for C++ exceptions and cancelled threads: the two functions
 * that -fexceptions makes the compiler call. As libc does, they are taken from libgcc_s when they
 * are first needed: linked, it would be mapped into every program that we are preloaded into.
 */
#include "unwinding.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <unwind.h>

typedef void resume_function(struct _Unwind_Exception *exception);
typedef _Unwind_Reason_Code personality_function(int version, _Unwind_Action actions,
    _Unwind_Exception_Class exception_class, struct _Unwind_Exception *exception,
    struct _Unwind_Context *context);

static void *find(const char *name)
{
	void *handle = dlopen("libgcc_s.so.1", RTLD_NOW);

	return handle ? dlsym(handle, name) : NULL;
}

/* Whoever unwinds the stack has it loaded. */
static void *libgcc(const char *name)
{
	void *found = find(name);

	if (!found)
		abort();
	return found;
}

/* Under these names hidden, so that no other object gets ours; unwind.h has them visible. */
__attribute__((visibility("hidden"))) resume_function resume_unwinding __asm__("_Unwind_Resume");
__attribute__((visibility("hidden")))
personality_function use_personality __asm__("__gcc_personality_v0");

void resume_unwinding(struct _Unwind_Exception *exception)
{
	static resume_function *resume;

	if (!__atomic_load_n(&resume, __ATOMIC_ACQUIRE))
		__atomic_store_n(
		    &resume, (resume_function *)libgcc("_Unwind_Resume"), __ATOMIC_RELEASE);
	resume(exception);
	abort();
}

_Unwind_Reason_Code use_personality(int version, _Unwind_Action actions,
    _Unwind_Exception_Class exception_class, struct _Unwind_Exception *exception,
    struct _Unwind_Context *context)
{
	static personality_function *personality;

	if (!__atomic_load_n(&personality, __ATOMIC_ACQUIRE))
		__atomic_store_n(&personality,
		    (personality_function *)libgcc("__gcc_personality_v0"), __ATOMIC_RELEASE);
	return personality(version, actions, exception_class, exception, context);
}

struct frames {
	uintptr_t *addresses;
	size_t count, most;
};

typedef _Unwind_Reason_Code backtrace_function(_Unwind_Trace_Fn each, void *argument);
typedef _Unwind_Ptr address_function(struct _Unwind_Context *context);

static address_function *address_of;

static _Unwind_Reason_Code add_frame(struct _Unwind_Context *context, void *argument)
{
	struct frames *frames = argument;
	uintptr_t address = address_of(context);

	if (address == 0 || frames->count == frames->most)
		return _URC_END_OF_STACK;
	frames->addresses[frames->count++] = address;
	return _URC_NO_REASON;
}

size_t unwind_stack(uintptr_t *addresses, size_t most)
{
	static backtrace_function *backtrace;
	struct frames frames = {.addresses = addresses, .most = most};

	if (!__atomic_load_n(&backtrace, __ATOMIC_ACQUIRE)) {
		address_of = (address_function *)find("_Unwind_GetIP");
		__atomic_store_n(
		    &backtrace, (backtrace_function *)find("_Unwind_Backtrace"), __ATOMIC_RELEASE);
	}
	if (backtrace && address_of)
		backtrace(add_frame, &frames);
	return frames.count;
}
