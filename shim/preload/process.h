/* The process around us: its exit, its forks, its clock. See process.c. */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* As getpid(2), without a system call for each: we ask at every step whether there was a fork. */
pid_t process_id(void);

/* Milliseconds, and microseconds, of the monotonic clock. */
int64_t process_clock_ms(void);
int64_t process_clock_us(void);

/* Whether another thread exists, so that waiting for one makes sense. */
bool process_has_threads(void);

/* A backend is open: see that it is closed when the process exits, before OpenSSL has cleaned up. */
void process_has_backend(bool encrypted);

/* Its encrypted connections have been closed, for good. Any thread. */
bool process_is_ending(void);

/*
 * In a child of the process that opened the backends: forget them. Called before the pool is
 * touched.
 */
void process_notice_fork(void);

/*
 * For the rest of the scope the thread cannot be cancelled: it would leave with our locks held. What
 * waits here is bounded by our own timeouts; libpq's waits on the program's behalf stay as they were.
 */
int process_defer_cancel(void);
void process_allow_cancel(const int *state);
#define NO_CANCEL() \
	const int no_cancel_ __attribute__((cleanup(process_allow_cancel), unused)) = \
	    process_defer_cancel()

#endif
