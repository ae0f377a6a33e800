/*
 * The trace: one line per event into a file of this process, in the folder PQLEASH_TRACE. Words and
 * fields are in pqleash_trace.h. Every function does nothing when no trace is wanted, may be called
 * from any thread, and leaves errno alone. See trace.c.
 */
#ifndef TRACE_H
#define TRACE_H

#include "pqleash_trace.h"
#include "text.h"

#include <stdbool.h>

struct backend;
struct session;

/*
 * A session begins; nothing happens where that was told before. backend: what it gets, or has; NULL
 * for none yet
 */
void trace_open(struct session *session, const struct backend *backend);

/* It has a backend, gives it up, could not connect, ends. */
void trace_attach(struct session *session);
void trace_detach(const struct session *session);
void trace_failed(const struct session *session);
void trace_finish(const struct session *session);

/* The program uses what it has finished, or finishes it again. */
void trace_used_after_finish(struct session *session);
void trace_finished_twice(const struct session *session);

/* A forked child finishes what its parent has. */
void trace_premature_finish(const struct session *session);

/* It is in a transaction when it is finished or closed at exit. */
void trace_transaction(const struct session *session);

/* No backend was to be had in time, because of these; taken from a session, which was in that state. */
void trace_exhausted(const struct session *session, struct session *const *holders, size_t count);
void trace_reclaimed(const struct session *session, const char *kept);

/* A connection to the server was made, or closed. */
void trace_backend(bool opened);

/* The program has announced it. */
void trace_suite(const char *suite, bool begins);

/* The process ends in an orderly way. */
void trace_exit(void);

/* In a child after fork, with all locks taken: it writes a trace of its own. */
void trace_forget_inherited(void);

/* For stack.c: a line of its own. trace_put adds the end of the line, writes and frees it. */
struct text trace_line(enum trace_event event);
void trace_add(struct text *line, const char *name, const char *value);
void trace_put(struct text *line);

#endif
