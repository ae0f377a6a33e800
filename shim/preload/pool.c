/*
 * The pool. Owns the list of backends, the limit, and the ladder that decides who gets one.
 * Sessions ask; backends are opened, reset and closed on their behalf. The lock protects the list
 * alone: it is never held while a server is spoken to.
 */
#include "pool.h"
#include "park.h"
#include "process.h"
#include "say.h"
#include "session.h"
#include "settings.h"
#include "text.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How long a refusal for want of room is taken for the server's last word. */
#define REFUSAL_HOLDS_MS 30000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static pthread_once_t changed_once = PTHREAD_ONCE_INIT;

static struct backend *backends;
static unsigned long count, peak;
static uint64_t releases, generation, wakes;
static long lowered_limit = LONG_MAX, lowered_timeout_ms = LONG_MAX;
static long refused_limit;
static int64_t refused_until_ms;

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
	pthread_mutex_lock(&lock);
}

static void unlock_pool(void)
{
	pthread_mutex_unlock(&lock);
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

/* Under the lock. */
static unsigned long limit_now(void)
{
	long limit = smaller(settings()->limit, lowered_limit);

	if (refused_limit > 0 && process_clock_ms() < refused_until_ms)
		limit = smaller(limit, refused_limit);
	return (unsigned long)limit;
}

/* ---- The ladder. The first three rungs are taken under the lock. ---- */

static struct backend *take_idle(const struct target *target)
{
	struct backend *best = NULL;

	/* The one used last: its server process is warm. */
	for (struct backend *backend = backends; backend; backend = backend->next)
		if (backend->state == BACKEND_IDLE && target_shares(backend->target, target) &&
		    (!best || backend->idle_since > best->idle_since))
			best = backend;
	if (best)
		best->state = BACKEND_TAKEN;
	return best;
}

/* Under the lock. */
static void remove_place(struct backend *backend)
{
	struct backend **link = &backends;

	while (*link != backend)
		link = &(*link)->next;
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

static struct backend *take_room(void)
{
	remove_ended();
	struct backend *backend = count < limit_now() ? calloc(1, sizeof *backend) : NULL;

	if (!backend)
		return NULL;
	backend->ending = -1;
	backend->next = backends;
	backends = backend;
	count++;
	if (count > peak)
		peak = count;
	return backend;
}

static struct backend *take_idle_of_another_target(void)
{
	struct backend *oldest = NULL;

	for (struct backend *backend = backends; backend; backend = backend->next)
		if (backend->state == BACKEND_IDLE &&
		    (!oldest || backend->idle_since < oldest->idle_since))
			oldest = backend;
	if (oldest)
		oldest->state = BACKEND_TAKEN;
	return oldest;
}

/* Is the mark one that a call left behind which was itself left by longjmp? */
static bool is_abandoned(const void *mark)
{
	return mark && mark != SESSION_MOVING && !process_has_threads() &&
	       (uintptr_t)mark < (uintptr_t)__builtin_frame_address(0);
}

/* Keep the session's own thread out while it is moved; false when a call is running on it. */
static bool try_to_move(struct session *session)
{
	void *found = __atomic_load_n(&session->busy, __ATOMIC_RELAXED);

	if (found && !is_abandoned(found))
		return false;
	return __atomic_compare_exchange_n(
	    &session->busy, &found, SESSION_MOVING, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static void stop_moving(struct session *session)
{
	__atomic_store_n(&session->busy, NULL, __ATOMIC_RELEASE);
	pool_wake();
}

/* The least recently used holder that was used after `after`, kept still for us; *used is when it
 * was. */
static struct session *next_holder(const struct session *asker, uint64_t after, uint64_t *used)
{
	struct session *found;

	lock_pool();
	do {
		found = NULL;
		for (struct backend *backend = backends; backend; backend = backend->next) {
			struct session *holder = backend->session;

			if (backend->state == BACKEND_HELD && holder != asker &&
			    holder->used > after && (!found || holder->used < found->used))
				found = holder;
		}
		if (found)
			*used = after = found->used;
	} while (found && !try_to_move(found));
	unlock_pool();
	return found;
}

static struct backend *take_from(struct session *holder, bool dirty)
{
	struct backend *backend = session_detach(holder);

	lock_pool();
	backend->state = BACKEND_TAKEN;
	backend->session = NULL;
	unlock_pool();
	if (!backend_reset(backend, dirty))
		backend_close(backend);
	return backend;
}

/* The server process is gone: the session keeps its broken connection, and needs no place for it.
 */
static struct backend *take_broken(struct session *holder)
{
	struct backend *backend = holder->backend;

	session_keep_broken(holder);
	lock_pool();
	backend->state = BACKEND_TAKEN;
	backend->session = NULL;
	unlock_pool();
	backend_close(backend);
	return backend;
}

static struct backend *take_by_parking(const struct session *asker)
{
	struct session *holder;
	struct backend *taken = NULL;
	uint64_t used = 0;

	while (!taken && (holder = next_holder(asker, used, &used))) {
		bool dirty = !session_is_clean(holder);

		if (holder->state == SESSION_OPEN && REAL(PQstatus)(holder->conn) == CONNECTION_BAD)
			taken = take_broken(holder);
		else if (session_park(holder))
			taken = take_from(holder, dirty);
		stop_moving(holder);
	}
	return taken;
}

/* A wait for other threads, over several rounds of the ladder. */
struct wait {
	int64_t deadline_ms;
	uint64_t seen; /* wakes when the present round began */
	bool announced;
};

/*
 * Another thread may be done soon: true for one more round. False when there is none, or when it
 * was not in time. The first round after the announcement waits for nothing: what was released
 * before it went unsaid.
 */
static bool wait_for_release(struct wait *wait)
{
	struct timespec until = {
	    .tv_sec = wait->deadline_ms / 1000, .tv_nsec = wait->deadline_ms % 1000 * 1000000};
	int outcome = 0;

	if (!process_has_threads())
		return false;
	lock_pool();
	if (!wait->announced) {
		__atomic_add_fetch(&session_awaited, 1, __ATOMIC_SEQ_CST);
		wait->announced = true;
	} else
		while (outcome == 0 && wakes == wait->seen)
			outcome = pthread_cond_timedwait(&changed, &lock, &until);
	wait->seen = wakes;
	unlock_pool();
	return outcome == 0;
}

static void stop_waiting(const struct wait *wait)
{
	if (wait->announced)
		__atomic_sub_fetch(&session_awaited, 1, __ATOMIC_SEQ_CST);
}

/* A place that will be free as soon as its server process has ended; false when none was in time.
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
	unlock_pool();
	if (!ending)
		return false;
	bool ended = backend_has_ended(ending, deadline_ms);
	lock_pool();
	ending->state = BACKEND_ENDING;
	unlock_pool();
	return ended;
}

/* The order in which sessions are given up: lower goes first, -1 never. */
static int reclaim_rank(const struct session *holder)
{
	PGTransactionStatusType status = REAL(PQtransactionStatus)(holder->conn);

	if (settings()->reclaim == RECLAIM_NEVER || status == PQTRANS_ACTIVE ||
	    status == PQTRANS_UNKNOWN)
		return -1;
	if (holder->suite_ended)
		return 0;
	if (settings()->reclaim == RECLAIM_ENDED)
		return -1;
	return status == PQTRANS_IDLE ? 1 : 2;
}

static struct backend *reclaim(struct session *holder)
{
	char message[512], name[256];
	bool idle = REAL(PQtransactionStatus)(holder->conn) == PQTRANS_IDLE;

	snprintf(message, sizeof message,
	    "pqleash: this connection (%s) was taken away: it %s, looked abandoned, and all %lu "
	    "backends were in use; raise PQLEASH_LIMIT or set PQLEASH_RECLAIM=never\n",
	    session_describe(holder, name, sizeof name),
	    idle ? (holder->pinned ? holder->pinned : "could not be moved")
		 : "was in a transaction",
	    pool_count());
	session_lose(holder, message);
	say_debug("reclaimed the backend of %s", name);
	return take_from(holder, true);
}

/* Only sessions that were not used since the wait began. */
static struct backend *take_by_reclaiming(const struct session *asker, uint64_t began)
{
	for (int rank = 0; rank <= 2; rank++) {
		struct session *holder;
		uint64_t used = 0;

		while ((holder = next_holder(asker, used, &used))) {
			struct backend *taken = NULL;

			if (used <= began && reclaim_rank(holder) == rank)
				taken = reclaim(holder);
			stop_moving(holder);
			if (taken)
				return taken;
		}
	}
	return NULL;
}

/* Why a holder cannot move, as far as it can be said without stopping it. */
static const char *why_held(const struct session *holder)
{
	switch (REAL(PQtransactionStatus)(holder->conn)) {
	case PQTRANS_ACTIVE:
		return "has a statement or COPY in progress";
	case PQTRANS_INTRANS:
	case PQTRANS_INERROR:
		return "is in a transaction";
	default:
		if (__atomic_load_n(&holder->busy, __ATOMIC_RELAXED))
			return "is running a call";
		return holder->pinned ? holder->pinned : "is in use";
	}
}

static char *describe_holders(void)
{
	struct text message = {0};
	char name[256];
	int number = 0;

	lock_pool();
	text_add(&message, "all %lu backends are held and none may be taken", count);
	for (struct backend *backend = backends; backend; backend = backend->next) {
		text_add(&message, "%s(%d) ", number ? "; " : ": ", number + 1);
		number++;
		if (backend->state == BACKEND_HELD)
			text_add(&message, "%s, %s",
			    session_describe(backend->session, name, sizeof name),
			    why_held(backend->session));
		else
			text_add(&message, "being opened, moved or closed by another thread");
	}
	text_add(&message, "; raise PQLEASH_LIMIT%s",
	    settings()->reclaim == RECLAIM_LRU ? "" : " or set PQLEASH_RECLAIM=lru");
	unlock_pool();
	return text_take(&message);
}

/* What was taken becomes what the session needs: a settled backend of its target, or an empty
 * place. */
static struct backend *prepare(struct backend *backend, struct session *session)
{
	if (!backend->conn)
		return backend;
	if (!target_shares(backend->target, session->target) ||
	    backend->generation != pool_generation() || !backend_settle(backend) ||
	    !snapshot_covers(session->parked, backend->stains, backend->stain_count))
		backend_close(backend);
	return backend;
}

struct backend *pool_acquire(struct session *session, char **error)
{
	long timeout_ms = smaller(settings()->pool_timeout_ms, lowered_timeout_ms);
	struct wait wait = {.deadline_ms = process_clock_ms() + timeout_ms};
	uint64_t began = __atomic_load_n(&session_clock, __ATOMIC_RELAXED);
	struct backend *taken;

	process_notice_fork();
	do {
		lock_pool();
		taken = take_idle(session->target);
		if (!taken)
			taken = take_room();
		if (!taken)
			taken = take_idle_of_another_target();
		unlock_pool();
		if (!taken)
			taken = take_by_parking(session);
	} while (!taken && (wait_for_ending(wait.deadline_ms) || wait_for_release(&wait)));
	stop_waiting(&wait);
	if (!taken)
		taken = take_by_reclaiming(session, began);
	if (taken)
		return prepare(taken, session);
	*error = describe_holders();
	return NULL;
}

/* ---- What becomes of a backend that was taken. ---- */

void pool_hold(struct backend *backend, struct session *session)
{
	lock_pool();
	backend->state = BACKEND_HELD;
	backend->session = session;
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
	backend->state = BACKEND_TAKEN;
	backend->session = NULL;
	unlock_pool();
	backend_let_go(backend);
	bool ended = backend_has_ended(backend, may_wait ? INT64_MAX : 0);
	lock_pool();
	if (ended)
		remove_place(backend);
	else
		backend->state = BACKEND_ENDING;
	unlock_pool();
	pool_wake();
}

void pool_release(struct backend *backend, bool dirty)
{
	if (backend->generation != pool_generation() || !backend_reset(backend, dirty)) {
		pool_give_up(backend);
		return;
	}
	lock_pool();
	backend->state = BACKEND_IDLE;
	backend->session = NULL;
	backend->idle_since = ++releases;
	unlock_pool();
	pool_wake();
}

bool pool_refused(struct backend *backend)
{
	pool_give_up(backend);
	lock_pool();
	bool others = count > 0;
	if (others) {
		refused_limit = (long)count;
		refused_until_ms = process_clock_ms() + REFUSAL_HOLDS_MS;
	}
	unlock_pool();
	return others;
}

bool pool_is_full_for(const struct target *target)
{
	bool full, hope = false;

	process_notice_fork();
	lock_pool();
	full = count >= limit_now();
	for (struct backend *backend = backends; backend && full; backend = backend->next) {
		full = backend->state != BACKEND_IDLE || !target_shares(backend->target, target);
		hope |= backend->state != BACKEND_HELD || reclaim_rank(backend->session) >= 0;
	}
	unlock_pool();
	return full && hope;
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

void pool_close_all(bool only_encrypted)
{
	struct session *holder;
	uint64_t used = 0;

	pool_close_idle();
	while ((holder = next_holder(NULL, used, &used))) {
		if (!only_encrypted || REAL(PQsslInUse)(holder->conn)) {
			session_exit(holder);
			pool_give_up(session_detach(holder));
		}
		stop_moving(holder);
	}
}

void pool_wake(void)
{
	if (!process_has_threads())
		return;
	lock_pool();
	wakes++;
	pthread_cond_broadcast(&changed);
	unlock_pool();
}

void pool_wait_until_moved(struct session *session)
{
	lock_pool();
	while (__atomic_load_n(&session->busy, __ATOMIC_RELAXED) == SESSION_MOVING)
		pthread_cond_wait(&changed, &lock);
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

void pool_forget_inherited(void)
{
	pthread_mutex_init(&lock, NULL);
	make_condition();
	for (struct backend *next, *backend = backends; backend; backend = next) {
		next = backend->next;
		if (backend->state != BACKEND_HELD && backend->conn)
			backend_abandon(backend);
	}
	backends = NULL;
	count = peak = 0;
}
