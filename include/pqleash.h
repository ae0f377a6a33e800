/*
 * pqleash.h: what a program may ask or tell pqleash when it wants to cooperate.
 *
 * Every function is a weak symbol: it is NULL when libpqleash.so is not preloaded, so a program
 * that includes this header needs no library to link with and must check before it calls:
 *
 *     if (pqleash_suite_begin)
 *         pqleash_suite_begin("billing");
 *
 * When the object is preloaded but not switched on (PQLEASH is not 1) the functions are there, the
 * numbers are 0 and the announcements do nothing. All functions may be called from any thread at
 * any time after main began, but not from a signal handler; none of them fails, and none but
 * pqleash_close_idle talks to a server.
 */
#ifndef PQLEASH_H
#define PQLEASH_H

#ifdef __cplusplus
extern "C" {
#endif

#ifndef PQLEASH_API
#define PQLEASH_API __attribute__((weak))
#endif

/*
 * Connections the program has opened so far, in count; those that failed to connect are not
 * included.
 */
PQLEASH_API unsigned long pqleash_sessions_opened(void);

/* Connections the program has opened and not finished, in count. */
PQLEASH_API unsigned long pqleash_sessions_open(void);

/* Real server connections the pool holds now, in count; at most PQLEASH_LIMIT. */
PQLEASH_API unsigned long pqleash_backends_open(void);

/* Most real server connections that existed at once since the process began, in count. */
PQLEASH_API unsigned long pqleash_backends_peak(void);

/*
 * Announce that a suite begins: connections opened from now on belong to it.
 *   name  any text, copied; NULL or "" counts as "unnamed". A suite that is still running ends
 * first.
 */
PQLEASH_API void pqleash_suite_begin(const char *name);

/*
 * Announce that the running suite has ended: what it still has open may be reclaimed first, and
 * with PQLEASH_RECLAIM=ended only then. Does nothing when no suite is running.
 */
PQLEASH_API void pqleash_suite_end(void);

/*
 * Close every pooled server connection that no open connection of the program is using, and wait
 * (at most the connect timeout, 5 seconds by default) until the server has let go of each; for a
 * program that is about to drop a database or to stop a server. Returns how many were closed.
 */
PQLEASH_API unsigned long pqleash_close_idle(void);

#ifdef __cplusplus
}
#endif

#endif
