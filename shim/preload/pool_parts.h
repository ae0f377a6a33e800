/*
 * What the files of the pool share, and nobody else calls: pool.c has the list of backends and the
 * limit, pool_ladder.c who gets one, pool_holders.c those who have one, pool_wait.c those who wait.
 */
#ifndef POOL_PARTS_H
#define POOL_PARTS_H

#include "pool.h"
#include "session.h"

static inline long pool_smaller(long one, long other)
{
	return one < other ? one : other;
}

/*
 * What a thread has in hand. A signal handler may leave a call by siglongjmp, while that waits for
 * a server: the thread's next call then lets go of what nobody else would ever let go of. (Not
 * while our own locks are held, which is never for long.) Each file remembers what is its own to
 * undo: the others are the steps of the first.
 */
void pool_repair(void);
void pool_repair_moving(void);
void pool_repair_waits(void);
void pool_repair_taken(void);
void pool_repair_turn(void);

/* In a forked child: forget that, and who waited, and undo nothing: it is the parent's. */
void pool_forget_moving(void);
void pool_forget_waits(void);

/* ---- pool.c ---- */

/* Under the lock: the list, to be looked at only; how many there are; whether there may be more. */
struct backend *pool_first(void);
unsigned long pool_places(void);
bool pool_has_room(void);

/*
 * Under the lock: an idle backend that serves the target; an empty place; an idle backend, the one
 * unused for longest. NULL for none.
 *   starved  set where there is room, but no memory for one more
 */
struct backend *pool_take_idle(const struct target *target);
struct backend *pool_take_room(bool *starved);
struct backend *pool_take_idle_of_another_target(void);

/* Take it out of the hands of its session, if it is in any. */
void pool_take_held(struct backend *backend);

/* ---- pool_holders.c ---- */

/*
 * The least recently used holder that was used after `after`, kept still for us until
 * pool_stop_moving; *used is when it was. In the first, those are left out that are at work, as far
 * as that can be seen since `quiet_since`.
 */
struct session *pool_next_holder_at_rest(
    const struct session *asker, uint64_t after, uint64_t *used, uint64_t quiet_since);
struct session *pool_next_holder(const struct session *asker, uint64_t after, uint64_t *used);
void pool_stop_moving(struct session *holder);

/* Whether it is this thread that keeps it still. */
bool pool_is_moving(const struct session *session);

/*
 * Of a holder that is kept still: take its backend, if it can move or its server process is gone;
 * else NULL. Take it, and the session is lost. Close it at exit.
 */
struct backend *pool_park(struct session *holder);
struct backend *pool_reclaim(struct session *holder);
void pool_close_holder(struct session *holder);

/* Who holds all the backends, and why none may be taken; for the caller to free. */
char *pool_describe_holders(void);

/* ---- pool_wait.c ---- */

/* The lock protects the list and who waits: it is never held while a server is spoken to. */
void pool_lock(void);
void pool_unlock(void);

/*
 * One thread is on the ladder; the others stand in line. The line itself does not count against the
 * pool timeout: those in front are bounded by theirs.
 */
void pool_take_turn(void);
void pool_end_turn(void);

/*
 * A wait for other threads, over several rounds of the ladder. Who is at work does not say when it
 * stops: so there is a look at the holders from time to time, at first after a few calls' length.
 */
struct pool_wait {
	int64_t deadline_ms;
	int64_t look_us;      /* from one look to the next */
	uint64_t quiet_since; /* the clock of uses at the last look */
	uint64_t seen;        /* wakes when the present round began */
	bool announced;
};

struct pool_wait pool_begin_wait(void);
void pool_stop_waiting(const struct pool_wait *wait);

/*
 * Another thread may be done soon: true for one more round. False when there is none, or when it
 * was not in time.
 */
bool pool_wait_for_release(struct pool_wait *wait);

/* The same, or a server process that is ending, or a forked child. */
bool pool_wait_for_place(struct pool_wait *wait);

/* Whether there is a place whose server process is still ending. */
bool pool_has_ending(void);

/* Whether a session in the line was told that it may come for a backend. */
static inline bool pool_is_called(const struct session *session)
{
	return __atomic_load_n(&session->called, __ATOMIC_SEQ_CST);
}

static inline void pool_call(struct session *session, bool called)
{
	__atomic_store_n(&session->called, called, __ATOMIC_SEQ_CST);
}

/* What was kept still for somebody else may be had now. */
void pool_wake_ladder(void);

/*
 * A session is kept still no more. Only its own thread waits for this: to those who wait for a
 * backend it is no news, they would try again, in vain, and so wake the next.
 */
void pool_tell_moved(void);

#endif
