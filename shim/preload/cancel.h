/* The program's PGcancel objects. See cancel.c. */
#ifndef CANCEL_H
#define CANCEL_H

struct session;

/* The session has a new backend: its cancel objects act on that one now. */
void cancel_renew(struct session *session);

/* The session is about to lose its backend: no cancel may reach it once this has returned. */
void cancel_forget(struct session *session);

#endif
