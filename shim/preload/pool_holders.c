/*
 * The sessions that hold a backend: kept still between two calls of theirs, to be made to give it
 * up or to be lent; and named, where all is in vain. Does not know which of them has to go first.
 */
#include "pool_parts.h"
#include "process.h"
#include "say.h"
#include "session.h"
#include "settings.h"
#include "share.h"
#include "text.h"
#include "trace.h"

#include <stdio.h>

/* The holder that this thread keeps still: see pool_repair. */
static __thread struct kept_still {
	struct session *session;
	bool reclaiming; /* that one: it loses what it has */
} kept_still __attribute__((tls_model("initial-exec")));

/* ---- Keeping them still ---- */

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
	kept_still.session = session;
	return true;
}

void pool_stop_moving(struct session *holder)
{
	kept_still.session = NULL;
	kept_still.reclaiming = false;
	__atomic_store_n(&holder->busy, NULL, __ATOMIC_RELEASE);
	pool_tell_moved();
}

bool pool_is_moving(const struct session *session)
{
	return kept_still.session == session;
}

void pool_repair_moving(void)
{
	struct session *moving = kept_still.session;

	if (!moving)
		return;
	if (kept_still.reclaiming && moving->state == SESSION_OPEN)
		session_lose(moving, "pqleash: this connection was taken away by a call "
				     "that was left by longjmp\n");
	session_stay(moving);
	pool_stop_moving(moving);
}

void pool_forget_moving(void)
{
	kept_still = (struct kept_still){0};
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
 * Others may be at work on theirs: the count of uses is all that is read before one is kept still.
 */
struct session *pool_next_holder_at_rest(
    const struct session *asker, uint64_t after, uint64_t *used, uint64_t quiet_since)
{
	struct session *found;

	pool_lock();
	do {
		uint64_t least = UINT64_MAX;

		found = NULL;
		for (struct backend *backend = pool_first(); backend; backend = backend->next) {
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
	pool_unlock();
	return found;
}

struct session *pool_next_holder(const struct session *asker, uint64_t after, uint64_t *used)
{
	return pool_next_holder_at_rest(asker, after, used, UINT64_MAX);
}

/* ---- Making them give up ---- */

static struct backend *take_from(struct session *holder, bool dirty)
{
	struct backend *backend = session_detach(holder);

	pool_take_held(backend);
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

	pool_take_held(backend);
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

struct backend *pool_park(struct session *holder)
{
	bool dirty = !session_is_clean(holder);

	if (backend_has_socket(holder->backend) && session_park(holder))
		return take_from(holder, dirty);
	/* As it was already, or as the attempt has shown. */
	return is_broken(holder) ? take_broken(holder) : NULL;
}

struct backend *pool_reclaim(struct session *holder)
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
	kept_still.reclaiming = true;
	struct backend *taken = holder->has_events ? sever(holder) : take_from(holder, true);
	session_lose(holder, message);
	say_debug("reclaimed the backend of %s", name);
	return taken;
}

void pool_close_holder(struct session *holder)
{
	session_note_transaction(holder);
	struct backend *taken = holder->has_events ? sever(holder) : session_detach(holder);
	session_exit(holder);
	pool_give_up(taken);
}

/* ---- Naming them ---- */

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

	pool_lock();
	for (struct backend *backend = pool_first(); backend && found < most;
	     backend = backend->next)
		if (backend->state == BACKEND_HELD)
			holders[found++] = backend->session;
	pool_unlock();
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

	pool_lock();
	*all = pool_places();
	for (struct backend *backend = pool_first(); backend && listed < MOST_NAMED;
	     backend = backend->next, listed++) {
		bool is_held = backend->state == BACKEND_HELD;

		holders[listed] = (struct holder){
		    is_held ? backend->session : NULL, is_held ? why_held(backend) : NULL};
	}
	pool_unlock();
	return listed;
}

/*
 * Without the lock: places are named by the loader, which may be waiting for us in another thread.
 * Sessions stay where they are, whatever becomes of them.
 */
char *pool_describe_holders(void)
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

/* ---- Lending ---- */

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

	while ((holder = pool_next_holder(asker, used, &used))) {
		if (holder->state == SESSION_OPEN && quotes_alike(asker, holder))
			return holder;
		pool_stop_moving(holder);
	}
	return NULL;
}

struct session *pool_lender(const struct session *asker)
{
	struct pool_wait wait = pool_begin_wait();
	struct session *lender;

	pool_repair();
	while (!(lender = find_lender(asker)) && pool_wait_for_release(&wait))
		;
	pool_stop_waiting(&wait);
	return lender;
}

void pool_return(struct session *lender)
{
	pool_stop_moving(lender);
	pool_wake_ladder();
}
