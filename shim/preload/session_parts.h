/*
 * What the files of a session share, and nobody else calls: session.c has its life and what it owns,
 * session_call.c the calls on it, session_open.c how it gets a backend, session_park.c how it is made
 * to give it up.
 */
#ifndef SESSION_PARTS_H
#define SESSION_PARTS_H

#include "session.h"

#include <stddef.h>

/* Numbers: one more of a field of session_counts. */
#define SESSION_COUNT(field) session_count_one(offsetof(struct session_counts, field))
void session_count_one(size_t field);

/* Whether the program has it open: connected once, and not finished. */
void session_count_open(struct session *session, bool open);

/* ---- session.c ---- */

/* From now on libpq's closed connection answers for it. */
void session_play_dead(struct session *session, enum session_state state);

/* Lose it, with a message of what happened to it and why; error: NULL where there was no memory. */
void session_lose_for(struct session *session, const char *what, const char *error);

/*
 * Put its state on a backend that it may have. On failure the backend is gone, and the session is
 * lost: unless *breaks, how often the connection may still break under us, is not used up.
 */
bool session_restore(struct session *session, struct backend *backend, int *breaks);

/* Give it the backend, on which its state is. */
void session_attach(struct session *session, struct backend *backend);

/* The steps of that: it is open now, of this process, and its share of the backend begins. */
void session_adopt_connection(struct session *session);
void session_own(struct session *session);
void session_begin_share(struct session *session);

/* What lives in libpq's connection: taken off it, and kept for when there is none. */
void session_remove_client(const struct session *session, struct backend *backend);
void session_keep_client_state(struct session *session);

/* A forked child is about to use what it inherited. */
void session_use_inherited(struct session *session, enum call_kind kind);

/* ---- session_open.c ---- */

/* Open it for the first time, or anew; waits for a backend. */
void session_connect_now(struct session *session);
void session_start_first(struct session *session);
void session_opened(struct session *session);

/* A session that was open gets a backend again, or is lost. */
void session_attach_again(struct session *session, bool may_wait);

/* It comes again for a backend: when it is called, or when it was told to ask again. */
void session_await(struct session *session);

/* ---- session_call.c ---- */

/* Whether the program would be shown a command of our own: a trace, an event procedure. */
bool session_would_see_ours(const struct session *session);

/* ---- session_park.c ---- */

void session_forget_snapshot(struct session *session);

#endif
