/*
 * The pool. Owns the list of backends, the limit, and the ladder that decides who gets one.
 * Sessions ask; backends are opened, reset and closed on their behalf. The lock protects the list
 * alone: it is never held while a server is spoken to.
 */
#include "pool.h"
#include "descriptor.h"
#include "lock.h"
#include "park.h"
#include "process.h"
#include "say.h"
#include "session.h"
#include "settings.h"
#include "share.h"
#include "text.h"
#include "trace.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How long a refusal for want of room is taken for the server's last word. */
#define REFUSAL_HOLDS_MS 30000
#define REFUSAL_SHARE 20 /* ... or this many times as long as it took to be told */

/* How soon a session that awaits a server which is away is told to ask for it again. */
#define ASK_AGAIN_MS 1000

/* How long a session that was told to come for a backend is expected. */
#define SIGN_HOLDS_MS 20

/* Nothing tells when a forked child has ended: it is looked for. */
#define LOOK_AGAIN_MS 10L

static pthread_cond_t changed;
static pthread_once_t changed_once = PTHREAD_ONCE_INIT;

static struct backend *backends;
static unsigned long count, peak, last_number;
static uint64_t releases, generation, wakes;
static long lowered_limit = LONG_MAX, lowered_timeout_ms = LONG_MAX;
static long refused_limit;
static int64_t refused_until_ms;
static bool closed_for_good; /* the process ends */

/*
 * When the clock of uses stood where, so that "not used for a pool timeout" can be told without
 * reading the time at every use.
 */
#define CHECKPOINTS 16
static struct {
	int64_t ms;
	uint64_t used;
} checkpoints[CHECKPOINTS];
static size_t newest_checkpoint;

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

/*
 * What this thread has in hand. A signal handler may leave a call by siglongjmp, while that waits for
 * a server: the thread's next call then finds here what nobody else would ever let go of. (Not while
 * our own locks are held, which is never for long.)
 */
static __thread struct passage {
	struct session *moving;
	struct backend *taken;  /* until somebody holds it, or it is idle or gone */
	struct backend *ending; /* waited for */
	bool reclaiming;        /* the one that is moving: it loses what it has */
	bool on_ladder, announced;
} passage __attribute__((tls_model("initial-exec")));

static void make_condition(void)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &attributes);
	pthread_condattr_destroy(&attributes);
}

static void lock_pool(void)
{
	pthread_once(&changed_once, make_condition);
	lock_take(LOCK_POOL);
}

static void unlock_pool(void)
{
	lock_release(LOCK_POOL);
}

static long smaller(long one, long other)
{
	return one < other ? one : other;
}

static void lower(long *setting, long value)
{
	lock_pool();
	*setting = smaller(*setting, value);
	unlock_pool();
}

void pool_lower_limit(long limit)
{
	lower(&lowered_limit, limit);
}

void pool_lower_timeout(long timeout_ms)
{
	lower(&lowered_timeout_ms, timeout_ms);
}

long pool_timeout_ms(void)
{
	return smaller(settings()->pool_timeout_ms, lowered_timeout_ms);
}

/* Under the lock. */
static unsigned long limit_now(void)
{
	long limit = closed_for_good ? 0 : smaller(settings()->limit, lowered_limit);

	if (refused_limit > 0 && process_clock_ms() < refused_until_ms)
		limit = smaller(limit, refused_limit);
	return (unsigned long)limit;
}

/* ---- The ladder. The first three rungs are taken under the lock. ---- */

/* Under the lock. */
static struct backend *take(struct backend *backend)
{
	if (backend)
		backend->state = BACKEND_TAKEN;
	return passage.taken = backend;
}

static struct backend *take_idle(const struct target *target)
{
	struct backend *best = NULL;

	/* The one used last: its server process is warm. */
	for (struct backend *backend = backends; backend; backend = backend->next)
		if (backend->state == BACKEND_IDLE && target_shares(backend->target, target) &&
		    (!best || backend->idle_since > best->idle_since))
			best = backend;
	return take(best);
}

/* Under the lock. */
static void remove_place(struct backend *backend)
{
	struct backend **link = &backends;

	while (*link && *link != backend)
		link = &(*link)->next;
	/* A fork in the middle of a call: in the child, what that call had taken is forgotten. */
	if (!*link)
		return;
	*link = backend->next;
	count--;
	free(backend);
}

/* Places whose server processes have ended meanwhile are free. */
static void remove_ended(void)
{
	for (struct backend *next, *backend = backends; backend; backend = next) {
		next = backend->next;
		if (backend->state == BACKEND_ENDING && backend_has_ended(backend, 0))
			remove_place(backend);
	}
}

/* starved  set where there is room, but no memory for one more */
static struct backend *take_room(bool *starved)
{
	remove_ended();
	bool is_free = count < limit_now();
	struct backend *backend = is_free ? calloc(1, sizeof *backend) : NULL;

	*starved = is_free && !backend;
	if (!backend)
		return NULL;
	backend->ending = backend->descriptor = -1;
	backend->number = ++last_number;
	backend->next = backends;
	backends = backend;
	count++;
	if (count > peak)
		peak = count;
	return take(backend);
}

static struct backend *take_idle_of_another_target(void)
{
	struct backend *oldest = NULL;

	for (struct backend *backend = backends; backend; backend = backend->next)
		if (backend->state == BACKEND_IDLE &&
		    (!oldest || backend->idle_since < oldest->idle_since))
			oldest = backend;
	return take(oldest);
}

/* Is the mark one that a call left behind which was itself left by longjmp? */
static bool is_abandoned(const void *mark)
{
	return mark && mark != SESSION_MOVING && !process_has_threads() &&
	       session_frame_of(mark) < (uintptr_t)__builtin_frame_address(0);
}

/* Keep the session's own thread out while it is moved; false when a call is running on it. */
static bool try_to_move(struct session *session)
{
	void *found = __atomic_load_n(&session->busy, __ATOMIC_RELAXED);

	if (found && !is_abandoned(found))
		return false;
	if (!__atomic_compare_exchange_n(
		&session->busy, &found, SESSION_MOVING, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return false;
	passage.moving = session;
	return true;
}

/*
 * Only the session's own thread waits for this. To those who wait for a backend it is no news: they
 * would try again, in vain, and so wake the next.
 */
static void stop_moving(struct session *session)
{
	passage.moving = NULL;
	passage.reclaiming = false;
	__atomic_store_n(&session->busy, NULL, __ATOMIC_RELEASE);
	if (!process_has_threads())
		return;
	lock_pool();
	pthread_cond_broadcast(&changed);
	unlock_pool();
}

/* What was kept still for somebody else may be had now. */
static void wake_ladder(void)
{
	lock_pool();
	wakes += ladder_taken;
	pthread_cond_broadcast(&changed);
	unlock_pool();
}

/*
 * Another thread is at work on it, call after call, and its share is not over: to take the backend
 * between two of them would cost both more than the wait. used: when it was last used
 */
static bool is_at_work(const struct session *holder, uint64_t used, uint64_t quiet_since)
{
	return used > quiet_since &&
	       __atomic_load_n(&holder->attached_by, __ATOMIC_RELAXED) != session_thread &&
	       session_has_time(holder, process_clock_ms());
}

/*
 * The least recently used holder that was used after `after`, kept still for us; *used is when it
 * was. Others may be at work on theirs: the count of uses is all that is read before it is kept
 * still. Left out are those that are at work, as far as that can be seen since `quiet_since`.
 */
static struct session *next_holder_at_rest(
    const struct session *asker, uint64_t after, uint64_t *used, uint64_t quiet_since)
{
	struct session *found;

	lock_pool();
	do {
		uint64_t least = UINT64_MAX;

		found = NULL;
		for (struct backend *backend = backends; backend; backend = backend->next) {
			if (backend->state != BACKEND_HELD || backend->session == asker)
				continue;
			uint64_t when = __atomic_load_n(&backend->session->used, __ATOMIC_RELAXED);
			if (when > after && when < least &&
			    !is_at_work(backend->session, when, quiet_since)) {
				found = backend->session;
				least = when;
			}
		}
		*used = after = least;
	} while (found && !try_to_move(found));
	unlock_pool();
	return found;
}

static struct session *next_holder(const struct session *asker, uint64_t after, uint64_t *used)
{
	return next_holder_at_rest(asker, after, used, UINT64_MAX);
}

static struct backend *take_from(struct session *holder, bool dirty)
{
	struct backend *backend = session_detach(holder);

	lock_pool();
	take(backend)->session = NULL;
	unlock_pool();
	if (!backend_reset(backend, dirty))
		backend_close(backend);
	return backend;
}

/*
 * The server process is gone: the session keeps its broken connection, and needs no place for it.
 */
static struct backend *take_broken(struct session *holder)
{
	struct backend *backend = holder->backend;

	lock_pool();
	take(backend)->session = NULL;
	unlock_pool();
	session_keep_broken(holder);
	backend_close(backend);
	return backend;
}

/* Event procedures are told of the end when the program ends the connection, not by us. */
static struct backend *sever(struct session *holder)
{
	backend_sever(holder->backend);
	return take_broken(holder);
}

/* Its server process has ended, whatever it was doing, or the program has closed the socket. */
static bool is_broken(const struct session *holder)
{
	return !backend_has_socket(holder->backend) ||
	       (holder->state == SESSION_OPEN && (REAL(PQstatus)(holder->conn) == CONNECTION_BAD ||
						     backend_has_hung_up(holder->backend)));
}

static struct backend *take_by_parking(const struct session *asker, uint64_t quiet_since)
{
	struct session *holder;
	struct backend *taken = NULL;
	uint64_t used = 0;

	while (!taken && (holder = next_holder_at_rest(asker, used, &used, quiet_since))) {
		bool dirty = !session_is_clean(holder);

		if (backend_has_socket(holder->backend) && session_park(holder))
			taken = take_from(holder, dirty);
		/* As it was already, or as the attempt has shown. */
		else if (is_broken(holder))
			taken = take_broken(holder);
		stop_moving(holder);
	}
	return taken;
}

/*
 * One thread is on the ladder; the others stand in line. The line itself does not count against the
 * pool timeout: those in front are bounded by theirs.
 */
static void take_turn(void)
{
	struct turn turn = {0};

	lock_pool();
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
	passage.on_ladder = true;
	/* NOLINTNEXTLINE(clang-analyzer-core.StackAddressEscape): end_turn has taken it off */
	unlock_pool();
}

static void end_turn(void)
{
	lock_pool();
	passage.on_ladder = false;
	struct turn *next = first_turn;
	if (next) {
		first_turn = next->next;
		if (!first_turn)
			last_turn = &first_turn;
		next->come = true;
		pthread_cond_signal(&next->mine);
	} else
		ladder_taken = false;
	unlock_pool();
}

/*
 * A wait for other threads, over several rounds of the ladder. Who is at work does not say when it
 * stops: so there is a look at the holders from time to time, at first after a few calls' length.
 */
struct wait {
	int64_t deadline_ms;
	int64_t look_us;      /* from one look to the next */
	uint64_t quiet_since; /* the clock of uses at the last look */
	uint64_t seen;        /* wakes when the present round began */
	bool announced;
};

#define FIRST_LOOK_US 1000
#define LAST_LOOK_US 10000

static struct wait begin_wait(int64_t deadline_ms)
{
	/* With no other thread at work there is nothing to be seen. */
	return (struct wait){.deadline_ms = deadline_ms,
	    .look_us = FIRST_LOOK_US,
	    .quiet_since = process_has_threads() ? 0 : UINT64_MAX};
}

/* When to look again: after a while, which grows, and at the deadline. */
static struct timespec next_look(struct wait *wait)
{
	int64_t at_us = process_clock_us() + wait->look_us;

	if (at_us > wait->deadline_ms * 1000)
		at_us = wait->deadline_ms * 1000;
	wait->look_us = smaller(wait->look_us * 2, LAST_LOOK_US);
	wait->quiet_since = __atomic_load_n(&session_clock, __ATOMIC_RELAXED);
	return (struct timespec){.tv_sec = at_us / 1000000, .tv_nsec = at_us % 1000000 * 1000};
}

/*
 * Another thread may be done soon: true for one more round. False when there is none, or when it
 * was not in time. The first round after the announcement waits for nothing: what was released
 * before it went unsaid.
 */
static bool wait_for_release(struct wait *wait)
{
	int outcome = 0;

	if (!process_has_threads())
		return false;
	lock_pool();
	if (!wait->announced) {
		__atomic_add_fetch(&session_awaited, 1, __ATOMIC_SEQ_CST);
		wait->announced = passage.announced = true;
	} else {
		struct timespec until = next_look(wait);

		while (outcome == 0 && wakes == wait->seen)
			outcome = lock_wait(LOCK_POOL, &changed, &until);
	}
	wait->seen = wakes;
	unlock_pool();
	return outcome == 0 || process_clock_ms() < wait->deadline_ms;
}

static void stop_waiting(const struct wait *wait)
{
	if (wait->announced)
		__atomic_sub_fetch(&session_awaited, 1, __ATOMIC_SEQ_CST);
	passage.announced = false;
}

static void stop_waiting_for(struct backend *ending)
{
	lock_pool();
	ending->state = BACKEND_ENDING;
	passage.ending = NULL;
	unlock_pool();
}

/*
 * A place that will be free as soon as its server process has ended; false when none was in time.
 */
static bool wait_for_ending(int64_t deadline_ms)
{
	struct backend *ending = NULL;

	lock_pool();
	for (struct backend *backend = backends; backend && !ending; backend = backend->next)
		if (backend->state == BACKEND_ENDING)
			ending = backend;
	if (ending)
		ending->state = BACKEND_TAKEN;
	passage.ending = ending;
	unlock_pool();
	if (!ending)
		return false;
	bool ended = backend_has_ended(ending, deadline_ms);
	stop_waiting_for(ending);
	return ended;
}

/* A forked child may be done soon with what it uses: true for one more round. */
static bool wait_for_child(int64_t deadline_ms)
{
	bool used = false;

	lock_pool();
	for (struct backend *backend = backends; backend && !used; backend = backend->next)
		used = backend->state == BACKEND_HELD && share_is_used(backend->share);
	unlock_pool();
	if (!used || process_clock_ms() >= deadline_ms)
		return false;
	nanosleep(&(struct timespec){.tv_nsec = LOOK_AGAIN_MS * 1000000}, NULL);
	return true;
}

static void join_line(struct session *session, int64_t until_ms)
{
	lock_pool();
	if (!session->awaiting) {
		session->awaiting = true;
		/* It has had its turn, and found no server. */
		session->called = session->away_until_ms != 0;
		session->awaiting_since = __atomic_load_n(&session_clock, __ATOMIC_RELAXED);
		session->awaiting_until_ms = until_ms;
		session->next_awaiting = NULL;
		*last_awaiting = session;
		last_awaiting = &session->next_awaiting;
		__atomic_add_fetch(&session_awaited, 1, __ATOMIC_SEQ_CST);
		__atomic_add_fetch(&awaiting_count, 1, __ATOMIC_SEQ_CST);
	}
	unlock_pool();
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

	if (session->away_until_ms)
		left_ms = smaller(left_ms, ASK_AGAIN_MS);
	else if (session->called)
		left_ms = 0;
	if (session->awaiting)
		descriptor_await(session, left_ms);
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
	lock_pool();
	leave_line(session);
	session->awaiting = false;
	__atomic_sub_fetch(&session_awaited, 1, __ATOMIC_SEQ_CST);
	__atomic_sub_fetch(&awaiting_count, 1, __ATOMIC_SEQ_CST);
	unlock_pool();
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
		called += session->called;
	if (!first || (called >= count && process_clock_ms() - last_ms < SIGN_HOLDS_MS))
		return;
	last_ms = process_clock_ms();
	leave_line(first);
	first->next_awaiting = NULL;
	*last_awaiting = first;
	last_awaiting = &first->next_awaiting;
	first->called = true;
	descriptor_wake(first);
}

/* Under the lock: note where the clock of uses stands, often enough for unused_for_long. */
static void note_time(void)
{
	int64_t now = process_clock_ms();

	if (now - checkpoints[newest_checkpoint].ms < pool_timeout_ms() / (CHECKPOINTS / 2))
		return;
	newest_checkpoint = (newest_checkpoint + 1) % CHECKPOINTS;
	checkpoints[newest_checkpoint].ms = now;
	checkpoints[newest_checkpoint].used = __atomic_load_n(&session_clock, __ATOMIC_RELAXED);
}

/* Sessions last used at or before this count have not been used for a pool timeout, or longer. */
static uint64_t unused_for_long(void)
{
	int64_t then = process_clock_ms() - pool_timeout_ms();
	uint64_t used = 0;

	lock_pool();
	note_time();
	for (size_t i = 0; i < CHECKPOINTS; i++)
		if (checkpoints[i].ms && checkpoints[i].ms <= then && checkpoints[i].used > used)
			used = checkpoints[i].used;
	unlock_pool();
	return used;
}

/* The order in which holders are made to give up: lower goes first, -1 never. */
static int reclaim_rank(const struct backend *backend)
{
	PGTransactionStatusType status = REAL(PQtransactionStatus)(backend->conn);

	if (settings()->reclaim == RECLAIM_NEVER || status == PQTRANS_ACTIVE ||
	    status == PQTRANS_UNKNOWN || share_is_used(backend->share))
		return -1;
	if (backend->session->suite_ended)
		return 0;
	if (settings()->reclaim == RECLAIM_ENDED)
		return -1;
	return status == PQTRANS_IDLE ? 1 : 2;
}

static struct backend *reclaim(struct session *holder)
{
	char message[512], name[256];
	bool idle = REAL(PQtransactionStatus)(holder->conn) == PQTRANS_IDLE;
	const char *kept = !idle            ? "was in a transaction"
			   : holder->pinned ? holder->pinned
					    : "could not be moved";

	snprintf(message, sizeof message,
	    "pqleash: this connection (%s) was taken away: it %s, looked abandoned, and all %lu "
	    "backends were in use; raise PQLEASH_LIMIT or set PQLEASH_RECLAIM=never\n",
	    session_describe(holder, name, sizeof name), kept, pool_count());
	trace_reclaimed(holder, kept);
	passage.reclaiming = true;
	struct backend *taken = holder->has_events ? sever(holder) : take_from(holder, true);
	session_lose(holder, message);
	say_debug("reclaimed the backend of %s", name);
	return taken;
}

/* Only sessions that were not used since the wait began. */
static struct backend *take_by_reclaiming(const struct session *asker, uint64_t began)
{
	for (int rank = 0; rank <= 2; rank++) {
		struct session *holder;
		uint64_t used = 0;

		while ((holder = next_holder(asker, used, &used))) {
			struct backend *taken = NULL;

			if (used <= began && reclaim_rank(holder->backend) == rank)
				taken = reclaim(holder);
			stop_moving(holder);
			if (taken)
				return taken;
		}
	}
	return NULL;
}

/* Why a holder cannot move, as far as it can be said without stopping it. */
static const char *why_held(const struct backend *backend)
{
	const struct session *holder = backend->session;

	switch (REAL(PQtransactionStatus)(backend->conn)) {
	case PQTRANS_ACTIVE:
		return "has a statement or COPY in progress";
	case PQTRANS_INTRANS:
	case PQTRANS_INERROR:
		return "is in a transaction";
	default:
		if (share_is_used(backend->share))
			return "is used by a forked child";
		if (__atomic_load_n(&holder->busy, __ATOMIC_RELAXED))
			return "is running a call";
		return holder->pinned ? holder->pinned : "is in use";
	}
}

size_t pool_holders(struct session **holders, size_t most)
{
	size_t found = 0;

	lock_pool();
	for (struct backend *backend = backends; backend && found < most; backend = backend->next)
		if (backend->state == BACKEND_HELD)
			holders[found++] = backend->session;
	unlock_pool();
	return found;
}

/* One that has a backend, and why that is not to be had; NULL while another thread is at it. */
struct holder {
	struct session *session;
	const char *why;
};

/* How many holders a message names. */
#define MOST_NAMED 64

static size_t list_holders(struct holder *holders, unsigned long *all)
{
	size_t listed = 0;

	lock_pool();
	*all = count;
	for (struct backend *backend = backends; backend && listed < MOST_NAMED;
	     backend = backend->next, listed++) {
		bool is_held = backend->state == BACKEND_HELD;

		holders[listed] = (struct holder){
		    is_held ? backend->session : NULL, is_held ? why_held(backend) : NULL};
	}
	unlock_pool();
	return listed;
}

/*
 * Without the lock: places are named by the loader, which may be waiting for us in another thread.
 * Sessions stay where they are, whatever becomes of them.
 */
static char *describe_holders(void)
{
	struct holder holders[MOST_NAMED];
	struct text message = {0};
	char name[256];
	unsigned long all;
	size_t listed = list_holders(holders, &all);

	text_add(&message, "all %lu backends are held and none may be taken", all);
	for (size_t i = 0; i < listed; i++) {
		text_add(&message, "%s(%zu) ", i ? "; " : ": ", i + 1);
		if (holders[i].session)
			text_add(&message, "%s, %s",
			    session_describe(holders[i].session, name, sizeof name),
			    holders[i].why);
		else
			text_add(&message, "being opened, moved or closed by another thread");
	}
	text_add(&message, "; raise PQLEASH_LIMIT%s",
	    settings()->reclaim == RECLAIM_LRU ? "" : " or set PQLEASH_RECLAIM=lru");
	return text_take(&message);
}

/*
 * What was taken becomes what the session needs: a settled backend of its target, or an empty
 * place.
 */
static struct backend *prepare(struct backend *backend, struct session *session)
{
	if (!backend->conn)
		return backend;
	/* The server is at work still: what there is to tell costs no time now. */
	if (backend->reset_pending)
		trace_open(session, backend);
	if (!target_shares(backend->target, session->target) || backend_is_older(backend) ||
	    !backend_settle(backend) ||
	    !snapshot_covers(session->parked, backend->stains, backend->stain_count))
		backend_close(backend);
	return backend;
}

/*
 * The rungs that take nothing away from anybody for good.
 *   starved  it failed for want of memory: nobody shall lose a backend for that
 */
static struct backend *climb(const struct session *session, uint64_t quiet_since, bool *starved)
{
	struct backend *taken;

	*starved = false;
	lock_pool();
	taken = take_idle(session->target);
	if (!taken)
		taken = take_room(starved);
	if (!taken)
		taken = take_idle_of_another_target();
	unlock_pool();
	if (!taken)
		taken = take_by_parking(session, quiet_since);
	/* One that has not been used for a pool timeout has been waited for. */
	if (!taken && !*starved)
		taken = take_by_reclaiming(session, unused_for_long());
	return taken;
}

/* The whole ladder, for a call that may wait. */
static struct backend *climb_patiently(const struct session *session, bool *starved)
{
	struct wait wait = begin_wait(process_clock_ms() + pool_timeout_ms());
	uint64_t began = __atomic_load_n(&session_clock, __ATOMIC_RELAXED);
	struct backend *taken;

	do
		taken = climb(session, wait.quiet_since, starved);
	while (!taken && !*starved &&
	       (wait_for_ending(wait.deadline_ms) || wait_for_release(&wait) ||
		   wait_for_child(wait.deadline_ms)));
	stop_waiting(&wait);
	return taken || *starved ? taken : take_by_reclaiming(session, began);
}

/* Let go of what a call of this thread had in hand when it was left. */
static void repair(void)
{
	struct session *moving = passage.moving;

	if (moving) {
		if (passage.reclaiming && moving->state == SESSION_OPEN)
			session_lose(moving, "pqleash: this connection was taken away by a call "
					     "that was left by longjmp\n");
		session_stay(moving);
		stop_moving(moving);
	}
	if (passage.announced)
		__atomic_sub_fetch(&session_awaited, 1, __ATOMIC_SEQ_CST);
	passage.announced = false;
	if (passage.ending)
		stop_waiting_for(passage.ending);
	if (passage.taken)
		pool_give_up(passage.taken);
	if (passage.on_ladder)
		end_turn();
}

struct backend *pool_acquire(struct session *session, bool may_wait, char **error)
{
	bool too_late = session->awaiting && process_clock_ms() >= session->awaiting_until_ms;
	bool in_line = session->awaiting && !session->called && !too_late;
	struct backend *taken = NULL;
	bool starved = false;

	process_notice_fork();
	repair();
	if (may_wait) {
		take_turn();
		taken = climb_patiently(session, &starved);
		end_turn();
	} else if (!in_line) {
		session->called = false;
		taken = climb(session, UINT64_MAX, &starved);
		if (!taken && !starved && too_late)
			taken = take_by_reclaiming(session, session->awaiting_since);
		wake_ladder();
	}
	if (taken)
		return prepare(taken, session);
	*error = !starved && (may_wait || too_late) ? describe_holders() : NULL;
	return NULL;
}

static bool quotes_alike(const struct session *asker, const struct session *holder)
{
	static const char name[] = "standard_conforming_strings";
	const char *theirs = REAL(PQparameterStatus)(holder->conn, name);

	return target_shares(holder->target, asker->target) && theirs &&
	       session_has_status(asker, name, theirs) &&
	       REAL(PQclientEncoding)(holder->conn) == asker->client_encoding;
}

static struct session *find_lender(const struct session *asker)
{
	struct session *holder;
	uint64_t used = 0;

	while ((holder = next_holder(asker, used, &used))) {
		if (holder->state == SESSION_OPEN && quotes_alike(asker, holder))
			return holder;
		stop_moving(holder);
	}
	return NULL;
}

struct session *pool_lender(const struct session *asker)
{
	struct wait wait = begin_wait(process_clock_ms() + pool_timeout_ms());
	struct session *lender;

	while (!(lender = find_lender(asker)) && wait_for_release(&wait))
		;
	stop_waiting(&wait);
	return lender;
}

void pool_return(struct session *lender)
{
	stop_moving(lender);
	wake_ladder();
}

/* ---- What becomes of a backend that was taken. ---- */

void pool_hold(struct backend *backend, struct session *session)
{
	lock_pool();
	backend->state = BACKEND_HELD;
	backend->session = session;
	backend->share = NULL;
	passage.taken = NULL;
	unlock_pool();
}

/*
 * A server process at rest ends at once when it is told to, and is waited for. One that is at work,
 * or that has not accepted us yet, ends when it likes: nobody is made to wait who does not need its
 * place.
 */
static bool is_at_rest(const struct backend *backend)
{
	return !backend->conn || backend->reset_pending ||
	       (REAL(PQstatus)(backend->conn) == CONNECTION_OK &&
		   REAL(PQtransactionStatus)(backend->conn) != PQTRANS_ACTIVE);
}

void pool_give_up(struct backend *backend)
{
	bool may_wait = is_at_rest(backend);

	lock_pool();
	take(backend)->session = NULL;
	unlock_pool();
	backend_let_go(backend);
	bool ended = backend_has_ended(backend, may_wait ? INT64_MAX : 0);
	lock_pool();
	if (ended)
		remove_place(backend);
	else
		backend->state = BACKEND_ENDING;
	passage.taken = NULL;
	unlock_pool();
	pool_wake();
}

void pool_release(struct backend *backend, bool dirty)
{
	if (backend_is_older(backend) || !backend_reset(backend, dirty)) {
		pool_give_up(backend);
		return;
	}
	lock_pool();
	backend->state = BACKEND_IDLE;
	backend->session = NULL;
	backend->idle_since = ++releases;
	passage.taken = NULL;
	unlock_pool();
	pool_wake();
}

/*
 * Under the lock: a backend that is held there, or may come to be. Those that another thread opens
 * or closes just now are counted wherever they are: their targets are that thread's to look at.
 */
static bool holds_at_server_of(const struct target *target)
{
	for (const struct backend *backend = backends; backend; backend = backend->next)
		if ((backend->state != BACKEND_IDLE && backend->state != BACKEND_HELD) ||
		    strcmp(backend->target->server, target->server) == 0)
			return true;
	return false;
}

bool pool_refused(struct backend *backend, const struct target *target)
{
	int64_t now = process_clock_ms();
	/* Where it takes long to be told, it is not asked often. */
	int64_t holds_ms = backend->asked_ms ? (now - backend->asked_ms) * REFUSAL_SHARE : 0;

	pool_give_up(backend);
	lock_pool();
	bool others = holds_at_server_of(target);
	if (others) {
		refused_limit = (long)count;
		refused_until_ms =
		    now + (holds_ms > REFUSAL_HOLDS_MS ? holds_ms : REFUSAL_HOLDS_MS);
	}
	unlock_pool();
	return others;
}

/*
 * Under the lock. Only of connections at rest and alive: whose pooler has closed it may have given
 * its process to another. Without a start a pid says nothing, as there may be several servers.
 */
static bool has_process_of(const struct backend *backend, const struct backend *other)
{
	if ((backend->state != BACKEND_IDLE && backend->state != BACKEND_HELD) ||
	    backend == other || backend->process != other->process || !other->process_start[0] ||
	    strcmp(backend->process_start, other->process_start) != 0)
		return false;
	struct pollfd wanted = {.fd = REAL(PQsocket)(backend->conn), .events = POLLIN};
	return wanted.fd >= 0 && poll(&wanted, 1, 0) == 0;
}

bool pool_note_process(struct backend *backend, int pid, const char *start)
{
	lock_pool();
	bool shared = pid && backend->process && pid != backend->process;
	if (pid != backend->process || start[0])
		snprintf(backend->process_start, sizeof backend->process_start, "%s", start);
	backend->process = pid;
	for (const struct backend *other = backends; other && pid && !shared; other = other->next)
		shared = has_process_of(other, backend);
	unlock_pool();
	return shared;
}

enum pool_prospect pool_prospect(const struct target *target)
{
	enum pool_prospect prospect;

	process_notice_fork();
	lock_pool();
	prospect = count < limit_now() ? POOL_HAS_ROOM : POOL_IS_STUCK;
	for (struct backend *backend = backends; backend; backend = backend->next) {
		if (backend->state == BACKEND_IDLE && target_shares(backend->target, target)) {
			prospect = POOL_HAS_IDLE;
			break;
		}
		if (prospect == POOL_IS_STUCK &&
		    (backend->state != BACKEND_HELD || reclaim_rank(backend) >= 0))
			prospect = POOL_IS_FULL;
	}
	unlock_pool();
	return prospect;
}

unsigned long pool_close_idle(void)
{
	unsigned long closed = 0;

	for (;;) {
		lock_pool();
		struct backend *backend = take_idle_of_another_target();
		unlock_pool();
		if (!backend)
			return closed;
		pool_give_up(backend);
		closed++;
	}
}

void pool_login_changed(void)
{
	__atomic_add_fetch(&generation, 1, __ATOMIC_RELAXED);
	target_doubt_all();
	pool_close_idle();
}

uint64_t pool_generation(void)
{
	return __atomic_load_n(&generation, __ATOMIC_RELAXED);
}

static void close_holder(struct session *holder)
{
	session_note_transaction(holder);
	struct backend *taken = holder->has_events ? sever(holder) : session_detach(holder);
	session_exit(holder);
	pool_give_up(taken);
}

void pool_close_all(bool only_encrypted)
{
	struct session *holder;
	uint64_t used = 0;
	bool children = share_has_others();

	/* A thread that waits for a backend is not to open another one now. */
	lock_pool();
	closed_for_good |= !only_encrypted;
	unlock_pool();
	pool_close_idle();
	while ((holder = next_holder(NULL, used, &used))) {
		/* What a child has in common with us may be what it lives on, as a daemon does. */
		bool stays = children && holder->backend->share;

		if (!stays && (!only_encrypted || REAL(PQsslInUse)(holder->conn)))
			close_holder(holder);
		stop_moving(holder);
	}
}

void pool_wake(void)
{
	/* Those who wait until a session has been moved are not counted as awaiting one. */
	if (!process_has_threads() && __atomic_load_n(&session_awaited, __ATOMIC_RELAXED) == 0)
		return;
	lock_pool();
	wakes++;
	pthread_cond_broadcast(&changed);
	wake_first_awaiting();
	unlock_pool();
}

bool pool_is_polled_for(void)
{
	return __atomic_load_n(&awaiting_count, __ATOMIC_SEQ_CST) > 0;
}

void pool_wait_until_moved(struct session *session)
{
	if (passage.moving == session)
		repair();
	lock_pool();
	while (__atomic_load_n(&session->busy, __ATOMIC_RELAXED) == SESSION_MOVING)
		lock_wait(LOCK_POOL, &changed, NULL);
	unlock_pool();
}

unsigned long pool_count(void)
{
	lock_pool();
	unsigned long now = count;
	unlock_pool();
	return now;
}

unsigned long pool_peak(void)
{
	lock_pool();
	unsigned long most = peak;
	unlock_pool();
	return most;
}

void pool_before_fork(void)
{
	for (struct backend *backend = backends; backend; backend = backend->next)
		if (backend->state == BACKEND_HELD && !backend->share)
			backend->share = share_new();
}

void pool_forget_inherited(void)
{
	make_condition();
	for (struct backend *next, *backend = backends; backend; backend = next) {
		next = backend->next;
		/* What the others held stays with their sessions; what was taken is in pieces. */
		if (backend->state == BACKEND_IDLE ||
		    (backend->state == BACKEND_HELD && backend->session->orphaned))
			backend_abandon(backend);
		if (backend->state == BACKEND_ENDING && backend->ending >= 0)
			close(backend->ending);
	}
	backends = NULL;
	count = peak = 0;
	closed_for_good = false;
	ladder_taken = false;
	first_turn = NULL;
	last_turn = &first_turn;
	first_awaiting = NULL;
	last_awaiting = &first_awaiting;
	session_awaited = 0;
	awaiting_count = 0;
	passage = (struct passage){0};
}
