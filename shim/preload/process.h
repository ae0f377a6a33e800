/* The process around us: its exit, its forks, its clock. See process.c. */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/* Milliseconds of the monotonic clock. */
int64_t process_clock_ms(void);

/* Whether another thread exists, so that waiting for one makes sense. */
bool process_has_threads(void);

/* The first backend is open: register the exit handler now, to run before OpenSSL's own. */
void process_first_backend(void);

/*
 * In a child of the process that opened the backends: forget them. Called before the pool is
 * touched.
 */
void process_notice_fork(void);

#endif
