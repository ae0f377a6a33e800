/*
 * The process around us. Owns the exit handler, what is done around a fork, and when a thread of it
 * may be cancelled. At exit everything is closed, and one line is said if there is anything worth telling.
 */
#include "process.h"
#include "lock.h"
#include "openssl.h"
#include "pool.h"
#include "say.h"
#include "session.h"
#include "settings.h"
#include "share.h"
#include "trace.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static pid_t owner; /* the process whose backends are in the pool; 0 before the first */
static pid_t first; /* the process that began to ask: not a forked child of it */
static int exit_status = -1;

/* A page that the kernel clears in a forked child, however that is made. */
static pid_t *map_known(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	pid_t *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page != MAP_FAILED && madvise(page, size, MADV_WIPEONFORK) == 0)
		return page;
	if (page != MAP_FAILED)
		munmap(page, size);
	return NULL;
}

static pid_t *known_id;

static void make_known(void)
{
	int saved_errno = errno;

	known_id = map_known();
	first = getpid();
	errno = saved_errno;
}

pid_t process_id(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_known);
	if (!known_id)
		return getpid();
	pid_t known = __atomic_load_n(known_id, __ATOMIC_RELAXED);
	if (known == 0) {
		known = getpid();
		__atomic_store_n(known_id, known, __ATOMIC_RELAXED);
	}
	return known;
}

int64_t process_clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t process_clock_ms(void)
{
	return process_clock_us() / 1000;
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

static bool may_be_alone; /* forked from a process with threads, which libc takes for ours */

bool process_has_threads(void)
{
	struct stat tasks;

	if (__libc_single_threaded)
		return false;
	/* A link for each thread, beside "." and "..". */
	if (!__atomic_load_n(&may_be_alone, __ATOMIC_RELAXED))
		return true;
	if (stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink == 3)
		return false;
	__atomic_store_n(&may_be_alone, false, __ATOMIC_RELAXED);
	return true;
}

/* ---- Forks ---- */

static bool locks_taken; /* under all of them */

/*
 * Where there is another thread, it may hold a lock, which would never be released in the child.
 * Where there is none, we may be in a signal handler that has interrupted ourselves.
 */
static void before_fork(void)
{
	bool threads = process_has_threads();

	if (threads) {
		lock_take_all();
		locks_taken = true;
	}
	pool_before_fork();
	share_expect();
}

static void after_fork(void)
{
	if (!locks_taken)
		return;
	locks_taken = false;
	lock_release_all();
}

static void forget_inherited(void)
{
	locks_taken = false;
	may_be_alone = true;
	lock_renew_all();
	session_forget_inherited();
	pool_forget_inherited();
	trace_forget_inherited();
}

static void in_forked_child(void)
{
	/* Most programs that we are loaded into never connect: not even a system call for them. */
	if (first != 0)
		owner = process_id();
	if (first != 0 || locks_taken)
		forget_inherited();
	share_join();
}

void process_notice_fork(void)
{
	pid_t now = process_id();
	pid_t before = __atomic_load_n(&owner, __ATOMIC_RELAXED);

	if (before == now)
		return;
	__atomic_store_n(&owner, now, __ATOMIC_RELAXED);
	if (before != 0)
		forget_inherited();
}

/*
 * At load, before the program can register a handler: theirs take their locks before ours, as their
 * code does that calls us with them held.
 */
__attribute__((constructor)) static void at_load(void)
{
	pthread_atfork(before_fork, after_fork, in_forked_child);
}

/* ---- Exit ---- */

/* A trace says it better. */
static void say_what_happened(void)
{
	struct session_counts counts = session_count();

	if (settings()->trace)
		return;
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
 * Whether there may be something of its own to close: a forked child has nothing, unless it
 * connected. One of vfork, which shares our memory, is known by its id alone.
 */
static bool has_backends(void)
{
	return owner != 0 && owner == getpid();
}

static bool ending;

bool process_is_ending(void)
{
	return __atomic_load_n(&ending, __ATOMIC_RELAXED);
}

static void close_encrypted(void)
{
	__atomic_store_n(&ending, true, __ATOMIC_RELAXED);
	if (has_backends())
		pool_close_all(true);
}

/*
 * Where OpenSSL does not tell of its end, encrypted connections are closed here: before its exit
 * handler, which was registered earlier, but also before those that the program registered earlier.
 */
static void at_exit(int status, void *unused)
{
	(void)unused;
	exit_status = status;
	if (!openssl_tells())
		close_encrypted();
}

static void register_handler(void)
{
	on_exit(at_exit, NULL);
}

void process_has_backend(bool encrypted)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, register_handler);
	if (encrypted)
		openssl_before_cleanup(close_encrypted);
}

static unsigned long count_failing(void)
{
	struct session_counts counts = session_count();

	return counts.open + counts.used_after_finish + counts.finished_twice +
	       counts.in_transaction + counts.exhausted;
}

/*
 * PQLEASH_ERROR_EXITCODE: a program that has ended well ends with this status. A forked child is
 * left alone: its parent may wait for what it has to say.
 */
static void fail_the_run(void)
{
	if (exit_status != 0 || settings()->error_exitcode == 0 || first != process_id() ||
	    count_failing() == 0)
		return;
	say("the run fails, with exit status %d", settings()->error_exitcode);
	fflush(NULL);
	_exit(settings()->error_exitcode);
}

/* Runs after every exit handler. */
__attribute__((destructor)) static void at_unload(void)
{
	/* Most programs that we are loaded into never connect: not even a system call for them. */
	trace_exit();
	if (!has_backends())
		return;
	say_what_happened();
	pool_close_all(false);
	openssl_end();
	fail_the_run();
}
