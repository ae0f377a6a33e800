/*
 * The ladder: decides who gets a backend, and who has to give one up for that. Owns nothing but the
 * times by which it tells what was not used for long. Does not know how a holder is made to give
 * up, nor how others are waited for.
 */
#include "pool_parts.h"
#include "park.h"
#include "process.h"
#include "session.h"
#include "settings.h"
#include "share.h"
#include "trace.h"

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

	pool_lock();
	note_time();
	for (size_t i = 0; i < CHECKPOINTS; i++)
		if (checkpoints[i].ms && checkpoints[i].ms <= then && checkpoints[i].used > used)
			used = checkpoints[i].used;
	pool_unlock();
	return used;
}

/* ---- The rungs. The first three are taken under the lock. ---- */

static struct backend *take_by_parking(const struct session *asker, uint64_t quiet_since)
{
	struct session *holder;
	struct backend *taken = NULL;
	uint64_t used = 0;

	while (!taken && (holder = pool_next_holder_at_rest(asker, used, &used, quiet_since))) {
		taken = pool_park(holder);
		pool_stop_moving(holder);
	}
	return taken;
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

/* Only sessions that were not used since the wait began. */
static struct backend *take_by_reclaiming(const struct session *asker, uint64_t began)
{
	for (int rank = 0; rank <= 2; rank++) {
		struct session *holder;
		uint64_t used = 0;

		while ((holder = pool_next_holder(asker, used, &used))) {
			struct backend *taken = NULL;

			if (used <= began && reclaim_rank(holder->backend) == rank)
				taken = pool_reclaim(holder);
			pool_stop_moving(holder);
			if (taken)
				return taken;
		}
	}
	return NULL;
}

/* ---- Climbing ---- */

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
	pool_lock();
	taken = pool_take_idle(session->target);
	if (!taken)
		taken = pool_take_room(starved);
	if (!taken)
		taken = pool_take_idle_of_another_target();
	pool_unlock();
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
	struct pool_wait wait = pool_begin_wait();
	uint64_t began = __atomic_load_n(&session_clock, __ATOMIC_RELAXED);
	struct backend *taken;

	do
		taken = climb(session, wait.quiet_since, starved);
	while (!taken && !*starved && pool_wait_for_place(&wait));
	pool_stop_waiting(&wait);
	return taken || *starved ? taken : take_by_reclaiming(session, began);
}

/* Let go of what a call of this thread had in hand when it was left. */
void pool_repair(void)
{
	pool_repair_moving();
	pool_repair_waits();
	pool_repair_taken();
	pool_repair_turn();
}

struct backend *pool_acquire(struct session *session, bool may_wait, char **error)
{
	bool too_late = session->awaiting && process_clock_ms() >= session->awaiting_until_ms;
	bool in_line = session->awaiting && !pool_is_called(session) && !too_late;
	struct backend *taken = NULL;
	bool starved = false;

	process_notice_fork();
	pool_repair();
	if (may_wait) {
		pool_take_turn();
		taken = climb_patiently(session, &starved);
		pool_end_turn();
	} else if (!in_line || pool_has_ending()) {
		pool_call(session, false);
		taken = climb(session, UINT64_MAX, &starved);
		if (!taken && !starved && too_late)
			taken = take_by_reclaiming(session, session->awaiting_since);
		pool_wake_ladder();
	}
	if (taken)
		return prepare(taken, session);
	*error = !starved && (may_wait || too_late) ? pool_describe_holders() : NULL;
	return NULL;
}

enum pool_prospect pool_prospect(const struct target *target)
{
	enum pool_prospect prospect;

	process_notice_fork();
	pool_lock();
	prospect = pool_has_room() ? POOL_HAS_ROOM : POOL_IS_STUCK;
	for (struct backend *backend = pool_first(); backend; backend = backend->next) {
		if (backend->state == BACKEND_IDLE && target_shares(backend->target, target)) {
			prospect = POOL_HAS_IDLE;
			break;
		}
		if (prospect == POOL_IS_STUCK &&
		    (backend->state != BACKEND_HELD || reclaim_rank(backend) >= 0))
			prospect = POOL_IS_FULL;
	}
	pool_unlock();
	return prospect;
}
