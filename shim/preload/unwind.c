/*
 * Stack unwinding through our frames, for C++ exceptions and cancelled threads: the two functions
 * that -fexceptions makes the compiler call. As libc does, they are taken from libgcc_s when they
 * are first needed: linked, it would be mapped into every program that we are preloaded into.
 */
#include "unwinding.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
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
	uintptr_t
	    *slots; /* where on the stack each address stands; NULL where that is not wanted */
	size_t count, most;
};

typedef _Unwind_Reason_Code backtrace_function(_Unwind_Trace_Fn each, void *argument);
typedef _Unwind_Ptr address_function(struct _Unwind_Context *context);
typedef _Unwind_Word frame_function(struct _Unwind_Context *context);

static address_function *address_of;
static frame_function *frame_of;

static _Unwind_Reason_Code add_frame(struct _Unwind_Context *context, void *argument)
{
	struct frames *frames = argument;
	uintptr_t address = address_of(context);

	if (address == 0 || frames->count == frames->most)
		return _URC_END_OF_STACK;
	if (frames->slots)
		frames->slots[frames->count] = frame_of(context) - sizeof(uintptr_t);
	frames->addresses[frames->count++] = address;
	return _URC_NO_REASON;
}

static void backtrace(struct frames *frames)
{
	static backtrace_function *found;

	if (!__atomic_load_n(&found, __ATOMIC_ACQUIRE)) {
		address_of = (address_function *)find("_Unwind_GetIP");
		frame_of = (frame_function *)find("_Unwind_GetCFA");
		__atomic_store_n(
		    &found, (backtrace_function *)find("_Unwind_Backtrace"), __ATOMIC_RELEASE);
	}
	if (found && address_of && frame_of)
		found(add_frame, frames);
}

#if defined(__x86_64__)
/*
 * The same few places open and finish connections again and again, and to unwind a stack takes some
 * 20,000 instructions. Where a call stands at the same place of the stack as an earlier one of
 * this thread, and every return address still stands where that one had it, the stack is the same.
 * Only on the thread's own stack, whose bounds are known, so that nothing is read that is not there.
 */
#define MOST_KNOWN 3
#define MOST_KNOWN_FRAMES 32

struct known_stack {
	uintptr_t here; /* the frame that asked; 0 for none */
	size_t count;
	uintptr_t addresses[MOST_KNOWN_FRAMES], slots[MOST_KNOWN_FRAMES];
};

static __thread struct known_stack known[MOST_KNOWN] __attribute__((tls_model("initial-exec")));
static __thread unsigned next_known __attribute__((tls_model("initial-exec")));
static __thread unsigned unknown __attribute__((tls_model("initial-exec"))); /* so many more */
static __thread uintptr_t stack_begin __attribute__((tls_model("initial-exec")));
static __thread uintptr_t stack_end __attribute__((tls_model("initial-exec")));

/* The end stays 0 where it is not known. */
static void find_stack(void)
{
	pthread_attr_t attributes;
	void *lowest = NULL;
	size_t size = 0;

	if (pthread_getattr_np(pthread_self(), &attributes) != 0)
		return;
	pthread_attr_getstack(&attributes, &lowest, &size);
	pthread_attr_destroy(&attributes);
	stack_begin = (uintptr_t)lowest;
	stack_end = stack_begin + size;
}

/* What stood below `here` were calls of our own to find this out, the same ones every time. */
static bool is_same(const struct known_stack *stack, uintptr_t here)
{
	if (stack->here != here)
		return false;
	for (size_t i = 0; i < stack->count; i++)
		if (stack->slots[i] >= here &&
		    *(const uintptr_t *)stack->slots[i] != stack->addresses[i])
			return false;
	return true;
}

/* Whether each return address stands where it can be found again. */
static bool can_be_found(const struct known_stack *stack, uintptr_t here)
{
	for (size_t i = 0; i < stack->count; i++) {
		uintptr_t slot = stack->slots[i];

		if (slot >= here && (slot >= stack_end || slot % sizeof(uintptr_t) != 0 ||
					*(const uintptr_t *)slot != stack->addresses[i]))
			return false;
	}
	return stack->slots[stack->count - 1] >= here;
}

/* All of it, if it is not too deep; if it is, others will be, too. */
static void remember(struct known_stack *stack, uintptr_t here)
{
	struct frames frames = {stack->addresses, stack->slots, 0, MOST_KNOWN_FRAMES};

	stack->here = 0;
	backtrace(&frames);
	stack->count = frames.count;
	if (frames.count > 0 && frames.count < frames.most && can_be_found(stack, here))
		stack->here = here;
	else
		unknown = 16;
}

static size_t unwind_known(uintptr_t *addresses, size_t most)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	struct known_stack *stack = known;

	if (stack_end == 0)
		find_stack();
	if (here < stack_begin || here >= stack_end || (unknown > 0 && unknown-- > 0))
		return 0;
	while (stack < known + MOST_KNOWN && !is_same(stack, here))
		stack++;
	if (stack == known + MOST_KNOWN) {
		stack = &known[next_known++ % MOST_KNOWN];
		remember(stack, here);
	}
	if (stack->here == 0 || stack->count > most)
		return 0;
	memcpy(addresses, stack->addresses, stack->count * sizeof *addresses);
	return stack->count;
}
#else
static size_t unwind_known(uintptr_t *addresses, size_t most)
{
	(void)addresses;
	(void)most;
	return 0;
}
#endif

size_t unwind_stack(uintptr_t *addresses, size_t most)
{
	struct frames frames = {addresses, NULL, unwind_known(addresses, most), most};

	if (frames.count == 0)
		backtrace(&frames);
	return frames.count;
}
