/*
 * Stack unwinding through our frames, for C++ exceptions and cancelled threads: the two functions
 * that -fexceptions makes the compiler call. As libc does, they are taken from libgcc_s when they
 * are first needed: linked, it would be mapped into every program that we are preloaded into.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <unwind.h>

typedef void resume_function(struct _Unwind_Exception *exception);
typedef _Unwind_Reason_Code personality_function(int version, _Unwind_Action actions,
    _Unwind_Exception_Class exception_class, struct _Unwind_Exception *exception,
    struct _Unwind_Context *context);

/* Whoever unwinds the stack has it loaded. */
static void *libgcc(const char *name)
{
	void *handle = dlopen("libgcc_s.so.1", RTLD_NOW);
	void *found = handle ? dlsym(handle, name) : NULL;

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
