/* Backends: real connections, each with a server process behind it. See backend.c. */
#ifndef BACKEND_H
#define BACKEND_H

#include "libpq.h"
#include "statement.h"
#include "target.h"

#include <stdbool.h>
#include <stdint.h>

struct session;

enum backend_state {
	BACKEND_TAKEN,  /* somebody is opening, closing, resetting or moving it; conn may be NULL */
	BACKEND_IDLE,   /* in the pool, for anyone with the same target */
	BACKEND_HELD,   /* a session's */
	BACKEND_ENDING, /* closed while the server was at work for it: the place is free when that
			   has ended */
};

struct backend {
	struct backend *next; /* in the pool's list */
	enum backend_state state;
	PGconn *conn;
	struct target *target;
	struct session *session; /* who holds it */
	unsigned long number;    /* in the trace */
	uint64_t idle_since;     /* in the pool's own count of releases */
	int ending;              /* watches for the server's end; -1 for nothing to watch */
	int64_t ends_ms;         /* when no more is waited for that */
	bool connected;          /* the trace has been told so */
	bool reset_pending;      /* DISCARD ALL was sent and not read yet */
	bool tracing;            /* libpq writes what it exchanges to a file of the program */
	bool unshared;           /* known by its pid, or changed beyond reset: for nobody else */
	bool examined;           /* what only needs to be asked once has been asked */
	bool never_reset;        /* what its sessions change cannot be known, nor reset */
	bool default_role;       /* the login has one, which DISCARD ALL does not give back */
	uint64_t generation;     /* of what a new connection sees: see pool_login_changed */
	size_t stain_count;
	const char *stains[MOST_CUSTOM_SETTINGS]; /* settings that DISCARD ALL could not remove */
};

/*
 * Open a connection to the target into an empty backend. False: backend->conn is libpq's failed
 * one, or NULL.
 */
bool backend_open(struct backend *backend, struct target *target);

/*
 * The same in two steps, for PQconnectStart: begin, and adopt once PQconnectPoll says it is ready.
 */
bool backend_start(struct backend *backend, struct target *target);
void backend_started(struct backend *backend);

/* Whether what a new connection would see may have changed since it was opened. */
bool backend_is_older(const struct backend *backend);

/* Ask it what has to be known before it is reset or captured, unless that is known already. */
void backend_examine(struct backend *backend);

/*
 * Close it and wait, at most the connect timeout, until the server process has ended. Leaves it
 * empty.
 */
void backend_close(struct backend *backend);

/*
 * Close it, as PQfinish does, without waiting; then see whether its server process has ended by
 * now.
 */
void backend_let_go(struct backend *backend);

/*
 * Waits until then at most, and never longer than the connect timeout after the close; 0 does not
 * wait.
 */
bool backend_has_ended(struct backend *backend, int64_t wait_until_ms);

/*
 * End the server process and wait for that, so that libpq's own PQreset may open another in its
 * place.
 */
void backend_disconnect(struct backend *backend);

/* The same, and libpq's connection stays, as one that the server has ended. */
void backend_sever(struct backend *backend);

/*
 * Begin the reset of a backend that a session has given up; false when it must be closed instead.
 */
bool backend_reset(struct backend *backend, bool dirty);

/*
 * Finish a reset that was begun, and see that the connection is alive; false when it must be
 * closed.
 */
bool backend_settle(struct backend *backend);

/*
 * Whether this message of a refused connect says that the server or its pooler has no more
 * connections.
 */
bool backend_refused_for_room(const char *message);

/* Run a query of our own; no notice of it reaches the program. The caller clears the result. */
PGresult *backend_query(struct backend *backend, const char *query);

/* What libpq gives a connection before anyone sets it. */
struct backend_defaults {
	PQnoticeReceiver receiver;
	PQnoticeProcessor processor;
	void *processor_argument;
};
const struct backend_defaults *backend_defaults(void);

/* A result after which PQgetResult would give another like it for ever, until somebody copies. */
bool backend_begins_copy(ExecStatusType status);

/* Keep the program's notice functions away while we talk to the server. */
void backend_hush(struct backend *backend);

/* Close a connection that was inherited over fork, without a word to the server. */
void backend_abandon(struct backend *backend);

#endif
