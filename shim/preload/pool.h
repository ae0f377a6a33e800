/*
 * The pool: all backends of this process, and who gets one when it is full. See pool.c and its
 * parts.
 */
#ifndef POOL_H
#define POOL_H

#include "backend.h"

#include <stdbool.h>
#include <stdint.h>

struct session;

/*
 * A backend for a session: serving its target and settled, or, when backend->conn is NULL, an empty
 * place in which the caller opens one (see pool_refused).
 *   may_wait  whether the call may wait for other threads, at most the pool timeout
 *   error     why there is none: who holds them (the caller frees it); NULL where it may not wait
 *             and the pool timeout has not passed since pool_await, and for want of memory
 * Returns NULL when there is none to be had. The caller must end with pool_hold, pool_release or
 * pool_give_up.
 */
struct backend *pool_acquire(struct session *session, bool may_wait, char **error);

/*
 * A session that pool_acquire refused to make wait: its descriptor becomes readable when to ask
 * again.
 */
void pool_await(struct session *session);
void pool_await_until(struct session *session, int64_t until_ms);
void pool_stop_awaiting(struct session *session);

/* How long a call may wait. */
long pool_timeout_ms(void);

/* It has a new descriptor, which is to become readable then, if it waits at all. */
void pool_still_awaited(struct session *session);

/* The caller's session holds it from now on. */
void pool_hold(struct backend *backend, struct session *session);

/*
 * A holder of the same target and encoding that is not in a call, kept still until pool_return;
 * waits for one at most the pool timeout. NULL when there is none.
 */
struct session *pool_lender(const struct session *asker);
void pool_return(struct session *lender);

/* Back into the pool, reset if the session used it; closed if it cannot be reset. */
void pool_release(struct backend *backend, bool dirty);

/*
 * Around code of the program's, which may call us again: what this thread has taken is not a thing
 * that a call has left behind.
 */
struct backend *pool_put_down(void);
void pool_take_up(struct backend *backend);

/* The place is free again; closes what is in it. */
void pool_give_up(struct backend *backend);

/*
 * The server has no room for the backend just tried, while we hold others there: what we hold is
 * the limit for a while. Gives the place up. False when we hold none, so that there is nothing to
 * share.
 */
bool pool_refused(struct backend *backend, const struct target *target);

/*
 * This process of the server has answered the backend; start is when it began, or "". True when
 * that shows a pooler in transaction mode: the backend had another one before, or another backend
 * has it now. A server, or a pooler in session mode, gives each connection one for its life.
 */
bool pool_note_process(struct backend *backend, int pid, const char *start);

/* What a session of this target may expect just now. */
enum pool_prospect {
	POOL_HAS_IDLE, /* a backend that is ready */
	POOL_HAS_ROOM, /* for a backend more */
	POOL_IS_FULL,  /* somebody may be made to give up a backend */
	POOL_IS_STUCK, /* nobody may */
};
enum pool_prospect pool_prospect(const struct target *target);

/* Close all idle backends and wait for the server to let go of them; returns how many. */
unsigned long pool_close_idle(void);

/*
 * The program is about to change what a new connection would see: close the idle backends, and
 * those in use when they are given back.
 */
void pool_login_changed(void);

/* How often that has happened; a backend begun at an older number is not reused. */
uint64_t pool_generation(void);

/* At exit: close everything, or only what OpenSSL's own exit handler would break. */
void pool_close_all(bool only_encrypted);

/* A URI's connection_limit and pool_timeout: the smallest holds. */
void pool_lower_limit(long limit);
void pool_lower_timeout(long timeout_ms);

/* A session has stopped being busy, or an event may help those who wait. */
void pool_wake(void);

/* Whether a session waits whose program polls its descriptor: nobody looks for it but pool_wake. */
bool pool_is_polled_for(void);

/* Wait for pool_wake while the session is being moved by another thread. */
void pool_wait_until_moved(struct session *session);

/* The sessions that hold a backend now, at most so many; how many there are. */
size_t pool_holders(struct session **holders, size_t most);

/* Numbers: backends now, and most at once. */
unsigned long pool_count(void);
unsigned long pool_peak(void);

/* Around a fork, with all locks taken; in the child, the inherited backends are the parent's. */
void pool_before_fork(void);
void pool_forget_inherited(void);

#endif
