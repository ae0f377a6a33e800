/*
 * Who waits, and what for: threads for their turn, for a release, for the end of a server process
 * or of a child; and the line of sessions whose program polls a descriptor instead. Owns the lock
 * and the signs that wake them. Does not know what any of them will get.
 */
#include "pool_parts.h"
#include "descriptor.h"
#include "lock.h"
#include "process.h"
#include "session.h"
#include "share.h"

#include <pthread.h>
#include <time.h>

/* How soon a session that awaits the server is told to ask again, whom nothing else would tell. */
#define ASK_AGAIN_MS 1000

/* How long a session that was told to come for a backend is expected. */
#define SIGN_HOLDS_MS 20

/* Nothing tells of the end of a forked child, or of a release while an end is waited for. */
#define LOOK_AGAIN_MS 10L

static pthread_cond_t changed;
static pthread_once_t changed_once = PTHREAD_ONCE_INIT;
static uint64_t wakes;

/* Threads on their way to a backend, first come first served. */
struct turn {
	struct turn *next;
	pthread_cond_t mine;
	bool come;
};
static struct turn *first_turn, **last_turn = &first_turn;
static bool ladder_taken;

/* Sessions whose program polls a descriptor instead of waiting here. */
static struct session *first_awaiting, **last_awaiting = &first_awaiting;
static int awaiting_count;

/* What this thread waits for: see pool_repair. */
static __thread struct waits {
	struct backend *ending; /* waited for */
	bool on_ladder, announced;
} waits __attribute__((tls_model("initial-exec")));

static void make_condition(void)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &attributes);
	pthread_condattr_destroy(&attributes);
}

void pool_lock(void)
{
	pthread_once(&changed_once, make_condition);
	lock_take(LOCK_POOL);
}

void pool_unlock(void)
{
	lock_release(LOCK_POOL);
}

/* ---- Turns ---- */

void pool_take_turn(void)
{
	struct turn turn = {0};

	pool_lock();
	if (!ladder_taken)
		ladder_taken = true;
	else {
		pthread_cond_init(&turn.mine, NULL);
		*last_turn = &turn;
		last_turn = &turn.next;
		while (!turn.come)
			lock_wait(LOCK_POOL, &turn.mine, NULL);
		pthread_cond_destroy(&turn.mine);
	}
	waits.on_ladder = true;
	/* NOLINTNEXTLINE(clang-analyzer-core.StackAddressEscape): pool_end_turn has taken it off */
	pool_unlock();
}

void pool_end_turn(void)
{
	pool_lock();
	waits.on_ladder = false;
	struct turn *next = first_turn;
	if (next) {
		first_turn = next->next;
		if (!first_turn)
			last_turn = &first_turn;
		next->come = true;
		pthread_cond_signal(&next->mine);
	} else
		ladder_taken = false;
	pool_unlock();
}

void pool_repair_turn(void)
{
	if (waits.on_ladder)
		pool_end_turn();
}

/* ---- Waiting for others ---- */

#define FIRST_LOOK_US 1000
#define LAST_LOOK_US 10000

struct pool_wait pool_begin_wait(void)
{
	/* With no other thread at work there is nothing to be seen. */
	return (struct pool_wait){.deadline_ms = process_clock_ms() + pool_timeout_ms(),
	    .look_us = FIRST_LOOK_US,
	    .quiet_since = process_has_threads() ? 0 : UINT64_MAX};
}

/* When to look again: after a while, which grows, and at the deadline. */
static struct timespec next_look(struct pool_wait *wait)
{
	int64_t at_us = process_clock_us() + wait->look_us;

	if (at_us > wait->deadline_ms * 1000)
		at_us = wait->deadline_ms * 1000;
	wait->look_us = pool_smaller(wait->look_us * 2, LAST_LOOK_US);
	wait->quiet_since = __atomic_load_n(&session_clock, __ATOMIC_RELAXED);
	return (struct timespec){.tv_sec = at_us / 1000000, .tv_nsec = at_us % 1000000 * 1000};
}

/*
 * The first round after the announcement waits for nothing: what was released before it went
 * unsaid.
 */
bool pool_wait_for_release(struct pool_wait *wait)
{
	int outcome = 0;

	if (!process_has_threads())
		return false;
	pool_lock();
	if (!wait->announced) {
		__atomic_add_fetch(&session_awaited, 1, __ATOMIC_SEQ_CST);
		wait->announced = waits.announced = true;
	} else {
		struct timespec until = next_look(wait);

		while (outcome == 0 && wakes == wait->seen)
			outcome = lock_wait(LOCK_POOL, &changed, &until);
	}
	wait->seen = wakes;
	pool_unlock();
	return outcome == 0 || process_clock_ms() < wait->deadline_ms;
}

void pool_stop_waiting(const struct pool_wait *wait)
{
	if (wait->announced)
		__atomic_sub_fetch(&session_awaited, 1, __ATOMIC_SEQ_CST);
	waits.announced = false;
}

static void stop_waiting_for(struct backend *ending)
{
	pool_lock();
	ending->state = BACKEND_ENDING;
	waits.ending = NULL;
	pool_unlock();
}

/* Under the lock. */
static struct backend *find_ending(void)
{
	struct backend *backend = pool_first();

	while (backend && backend->state != BACKEND_ENDING)
		backend = backend->next;
	return backend;
}

bool pool_has_ending(void)
{
	pool_lock();
	bool found = find_ending() != NULL;
	pool_unlock();
	return found;
}

/*
 * A place that will be free as soon as its server process has ended; false when none was in time.
 * Other threads may release one sooner: neither is waited for without a look at the other.
 */
static bool wait_for_ending(int64_t deadline_ms)
{
	int64_t until_ms = process_clock_ms() + LOOK_AGAIN_MS;

	if (until_ms > deadline_ms || !process_has_threads())
		until_ms = deadline_ms;
	pool_lock();
	struct backend *ending = find_ending();
	if (ending)
		ending->state = BACKEND_TAKEN;
	waits.ending = ending;
	pool_unlock();
	if (!ending)
		return false;
	bool ended = backend_has_ended(ending, until_ms);
	stop_waiting_for(ending);
	return ended;
}

/* A forked child may be done soon with what it uses: true for one more round. */
static bool wait_for_child(int64_t deadline_ms)
{
	bool used = false;

	pool_lock();
	for (struct backend *backend = pool_first(); backend && !used; backend = backend->next)
		used = backend->state == BACKEND_HELD && share_is_used(backend->share);
	pool_unlock();
	if (!used || process_clock_ms() >= deadline_ms)
		return false;
	nanosleep(&(struct timespec){.tv_nsec = LOOK_AGAIN_MS * 1000000}, NULL);
	return true;
}

bool pool_wait_for_place(struct pool_wait *wait)
{
	return wait_for_ending(wait->deadline_ms) || pool_wait_for_release(wait) ||
	       wait_for_child(wait->deadline_ms);
}

void pool_repair_waits(void)
{
	if (waits.announced)
		__atomic_sub_fetch(&session_awaited, 1, __ATOMIC_SEQ_CST);
	waits.announced = false;
	if (waits.ending)
		stop_waiting_for(waits.ending);
}

/* ---- The line ---- */

/* Under the lock. */
static void append(struct session *session)
{
	session->next_awaiting = NULL;
	*last_awaiting = session;
	last_awaiting = &session->next_awaiting;
}

static void join_line(struct session *session, int64_t until_ms)
{
	pool_lock();
	if (!session->awaiting) {
		session->awaiting = true;
		/* It has had its turn, and found no server. */
		pool_call(session, session->away_until_ms != 0);
		session->awaiting_since = __atomic_load_n(&session_clock, __ATOMIC_RELAXED);
		session->awaiting_until_ms = until_ms;
		append(session);
		__atomic_add_fetch(&session_awaited, 1, __ATOMIC_SEQ_CST);
		__atomic_add_fetch(&awaiting_count, 1, __ATOMIC_SEQ_CST);
	}
	pool_unlock();
}

void pool_await(struct session *session)
{
	join_line(session, session->away_until_ms ? session->away_until_ms
						  : process_clock_ms() + pool_timeout_ms());
	pool_still_awaited(session);
}

/* It does not wait for its turn: it comes then, or when there is something to share. */
void pool_await_until(struct session *session, int64_t until_ms)
{
	pool_stop_awaiting(session);
	join_line(session, until_ms);
	pool_still_awaited(session);
}

void pool_still_awaited(struct session *session)
{
	long left_ms = (long)(session->awaiting_until_ms - process_clock_ms());

	if (!session->awaiting)
		return;
	bool called = pool_is_called(session);
	if (called && !session->away_until_ms)
		left_ms = 0;
	else if (session->away_until_ms || pool_has_ending())
		left_ms = pool_smaller(left_ms, ASK_AGAIN_MS);
	descriptor_await(session, left_ms);
	/* A sign that came in between was given to a descriptor that is gone. */
	if (!called && pool_is_called(session))
		descriptor_wake(session);
}

/* Under the lock. */
static void leave_line(struct session *session)
{
	struct session **link = &first_awaiting;

	while (*link && *link != session)
		link = &(*link)->next_awaiting;
	if (!*link)
		return;
	*link = session->next_awaiting;
	if (last_awaiting == &session->next_awaiting)
		last_awaiting = link;
}

void pool_stop_awaiting(struct session *session)
{
	if (!session->awaiting)
		return;
	pool_lock();
	leave_line(session);
	session->awaiting = false;
	__atomic_sub_fetch(&session_awaited, 1, __ATOMIC_SEQ_CST);
	__atomic_sub_fetch(&awaiting_count, 1, __ATOMIC_SEQ_CST);
	pool_unlock();
}

/*
 * Under the lock. The first in line gets a sign, and goes to the end: it may not be looking. No
 * more signs than there could be places for, until those who got one have had time to come.
 */
static void wake_first_awaiting(void)
{
	static int64_t last_ms;
	struct session *first = first_awaiting;
	unsigned long called = 0;

	for (struct session *session = first; session; session = session->next_awaiting)
		called += pool_is_called(session);
	if (!first || (called >= pool_places() && process_clock_ms() - last_ms < SIGN_HOLDS_MS))
		return;
	last_ms = process_clock_ms();
	leave_line(first);
	append(first);
	pool_call(first, true);
	descriptor_wake(first);
}

/* ---- Waking ---- */

void pool_wake(void)
{
	/* Those who wait until a session has been moved are not counted as awaiting one. */
	if (!process_has_threads() && __atomic_load_n(&session_awaited, __ATOMIC_RELAXED) == 0)
		return;
	pool_lock();
	wakes++;
	pthread_cond_broadcast(&changed);
	wake_first_awaiting();
	pool_unlock();
}

bool pool_is_polled_for(void)
{
	return __atomic_load_n(&awaiting_count, __ATOMIC_SEQ_CST) > 0;
}

void pool_wait_until_moved(struct session *session)
{
	if (pool_is_moving(session))
		pool_repair();
	pool_lock();
	while (__atomic_load_n(&session->busy, __ATOMIC_RELAXED) == SESSION_MOVING)
		lock_wait(LOCK_POOL, &changed, NULL);
	pool_unlock();
}

void pool_wake_ladder(void)
{
	pool_lock();
	wakes += ladder_taken;
	pthread_cond_broadcast(&changed);
	pool_unlock();
}

void pool_tell_moved(void)
{
	if (!process_has_threads())
		return;
	pool_lock();
	pthread_cond_broadcast(&changed);
	pool_unlock();
}

void pool_forget_waits(void)
{
	make_condition();
	ladder_taken = false;
	first_turn = NULL;
	last_turn = &first_turn;
	first_awaiting = NULL;
	last_awaiting = &first_awaiting;
	session_awaited = 0;
	awaiting_count = 0;
	waits = (struct waits){0};
}
