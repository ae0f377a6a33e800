/*
 * All mutexes of the object, so that a fork can take them all: a child has only the thread that
 * forked, and must not find one held by another. See lock.c.
 */
#ifndef LOCK_H
#define LOCK_H

#include <pthread.h>

/* In the order in which a thread takes several: one that is further down may be taken inside. */
enum lock {
	LOCK_POOL,
	LOCK_SESSIONS,
	LOCK_TARGETS,
	LOCK_DESCRIPTORS,
	LOCK_EVENTS,
	LOCK_CUSTOM_NAMES,
	LOCK_DEFAULTS,
	LOCK_STATUSES,
	LOCK_SUITES,
	LOCK_STACKS,
	LOCK_TRACE,
	LOCKS
};

void lock_take(enum lock lock);
void lock_release(enum lock lock);

/* Release it, wait for the condition, take it again; deadline may be NULL. Returns as pthreads do. */
int lock_wait(enum lock lock, pthread_cond_t *condition, const struct timespec *deadline);

/* Around a fork: before it, after it in the parent, and after it in the child. */
void lock_take_all(void);
void lock_release_all(void);
void lock_renew_all(void);

#endif
