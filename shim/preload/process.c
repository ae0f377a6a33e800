/*
 * The process around us. Owns the exit handler, the check for a fork, and when a thread of it may be
 * cancelled. At exit everything is closed, and one line is said if there is anything worth telling.
 */
#include "process.h"
#include "pool.h"
#include "say.h"
#include "session.h"
#include "settings.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/single_threaded.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static pid_t owner; /* the process whose backends are in the pool; 0 before the first */

int64_t process_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int process_defer_cancel(void)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	return state;
}

void process_allow_cancel(const int *state)
{
	int ours;

	pthread_setcancelstate(*state, &ours);
}

bool process_has_threads(void)
{
	return !__libc_single_threaded;
}

void process_notice_fork(void)
{
	pid_t now = getpid();

	pid_t before = __atomic_load_n(&owner, __ATOMIC_RELAXED);

	if (before != 0 && before != now) {
		pool_forget_inherited();
		session_forget_counts();
	}
	if (before != now)
		__atomic_store_n(&owner, now, __ATOMIC_RELAXED);
}

static void say_what_happened(void)
{
	struct session_counts counts = session_count();

	if (counts.open == 0 && counts.used_after_finish == 0 && counts.finished_twice == 0 &&
	    counts.lost == 0)
		return;
	say("%lu connections opened, %lu never finished, %lu used after finish, %lu finished "
	    "twice, "
	    "%lu lost; at most %lu at the server at once",
	    counts.opened, counts.open, counts.used_after_finish, counts.finished_twice,
	    counts.lost, pool_peak());
}

/*
 * Runs before OpenSSL's exit handler, which was registered earlier; but also before those that the
 * program registered earlier, which may still use their connections. A forked child has nothing of
 * its own to close, unless it connected.
 */
static void at_exit(void)
{
	if (owner == getpid())
		pool_close_all(true);
}

static void register_handler(void)
{
	atexit(at_exit);
}

void process_first_backend(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, register_handler);
}

/* Runs after every exit handler. */
__attribute__((destructor)) static void at_unload(void)
{
	/* Most programs that we are loaded into never connect: not even a system call for them. */
	if (owner == 0 || owner != getpid())
		return;
	say_what_happened();
	pool_close_all(false);
}
