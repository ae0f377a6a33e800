/*
 * The list of backends and the limit: owns every place, from when there is room for one more until
 * its server process has ended, and what becomes of a backend that was taken. Does not know who
 * gets one.
 */
#include "pool_parts.h"
#include "process.h"
#include "session.h"
#include "settings.h"
#include "share.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long a refusal for want of room is taken for the server's last word. */
#define REFUSAL_HOLDS_MS 30000
#define REFUSAL_SHARE 20 /* ... or this many times as long as it took to be told */

static struct backend *backends;
static unsigned long count, peak, last_number;
static uint64_t releases, generation;
static long lowered_limit = LONG_MAX, lowered_timeout_ms = LONG_MAX;
static long refused_limit;
static int64_t refused_until_ms;
static bool closed_for_good; /* the process ends */

/* What this thread has taken, until somebody holds it, or it is idle or gone: see pool_repair. */
static __thread struct backend *in_hand __attribute__((tls_model("initial-exec")));

static void lower(long *setting, long value)
{
	pool_lock();
	__atomic_store_n(setting, pool_smaller(*setting, value), __ATOMIC_RELAXED);
	pool_unlock();
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
	return pool_smaller(
	    settings()->pool_timeout_ms, __atomic_load_n(&lowered_timeout_ms, __ATOMIC_RELAXED));
}

/* Under the lock. */
static unsigned long limit_now(void)
{
	long limit = closed_for_good ? 0 : pool_smaller(settings()->limit, lowered_limit);

	if (refused_limit > 0 && process_clock_ms() < refused_until_ms)
		limit = pool_smaller(limit, refused_limit);
	return (unsigned long)limit;
}

bool pool_has_room(void)
{
	return count < limit_now();
}

/* ---- Places ---- */

struct backend *pool_first(void)
{
	return backends;
}

unsigned long pool_places(void)
{
	return count;
}

/* Under the lock. */
static struct backend *take(struct backend *backend)
{
	if (backend)
		backend->state = BACKEND_TAKEN;
	return in_hand = backend;
}

struct backend *pool_take_idle(const struct target *target)
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

struct backend *pool_take_room(bool *starved)
{
	remove_ended();
	bool is_free = pool_has_room();
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

struct backend *pool_take_idle_of_another_target(void)
{
	struct backend *oldest = NULL;

	for (struct backend *backend = backends; backend; backend = backend->next)
		if (backend->state == BACKEND_IDLE &&
		    (!oldest || backend->idle_since < oldest->idle_since))
			oldest = backend;
	return take(oldest);
}

void pool_take_held(struct backend *backend)
{
	pool_lock();
	take(backend)->session = NULL;
	pool_unlock();
}

/* ---- What becomes of a backend that was taken ---- */

void pool_hold(struct backend *backend, struct session *session)
{
	pool_lock();
	backend->state = BACKEND_HELD;
	backend->session = session;
	backend->share = NULL;
	in_hand = NULL;
	pool_unlock();
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

	pool_take_held(backend);
	backend_let_go(backend);
	bool ended = backend_has_ended(backend, may_wait ? INT64_MAX : 0);
	pool_lock();
	if (ended)
		remove_place(backend);
	else
		backend->state = BACKEND_ENDING;
	in_hand = NULL;
	pool_unlock();
	pool_wake();
}

void pool_release(struct backend *backend, bool dirty)
{
	if (backend_is_older(backend) || !backend_reset(backend, dirty)) {
		pool_give_up(backend);
		return;
	}
	pool_lock();
	backend->state = BACKEND_IDLE;
	backend->session = NULL;
	backend->idle_since = ++releases;
	in_hand = NULL;
	pool_unlock();
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
	pool_lock();
	bool others = holds_at_server_of(target);
	if (others) {
		refused_limit = (long)count;
		refused_until_ms =
		    now + (holds_ms > REFUSAL_HOLDS_MS ? holds_ms : REFUSAL_HOLDS_MS);
	}
	pool_unlock();
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
	pool_lock();
	bool shared = pid && backend->process && pid != backend->process;
	if (pid != backend->process || start[0])
		snprintf(backend->process_start, sizeof backend->process_start, "%s", start);
	backend->process = pid;
	for (const struct backend *other = backends; other && pid && !shared; other = other->next)
		shared = has_process_of(other, backend);
	pool_unlock();
	return shared;
}

struct backend *pool_put_down(void)
{
	struct backend *backend = in_hand;

	in_hand = NULL;
	return backend;
}

void pool_take_up(struct backend *backend)
{
	in_hand = backend;
}

void pool_repair_taken(void)
{
	if (in_hand)
		pool_give_up(in_hand);
}

/* ---- Closing what is there ---- */

unsigned long pool_close_idle(void)
{
	unsigned long closed = 0;

	for (;;) {
		pool_lock();
		struct backend *backend = pool_take_idle_of_another_target();
		pool_unlock();
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
	bool children = share_has_others();

	/* A thread that waits for a backend is not to open another one now. */
	pool_lock();
	closed_for_good |= !only_encrypted;
	pool_unlock();
	pool_close_idle();
	while ((holder = pool_next_holder(NULL, used, &used))) {
		/* What a child has in common with us may be what it lives on, as a daemon does. */
		bool stays = children && holder->backend->share;

		if (!stays && (!only_encrypted || REAL(PQsslInUse)(holder->conn)))
			pool_close_holder(holder);
		pool_stop_moving(holder);
	}
}

/* ---- Numbers, and forks ---- */

unsigned long pool_count(void)
{
	pool_lock();
	unsigned long now = count;
	pool_unlock();
	return now;
}

unsigned long pool_peak(void)
{
	pool_lock();
	unsigned long most = peak;
	pool_unlock();
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
	pool_forget_waits();
	pool_forget_moving();
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
	in_hand = NULL;
}
