/* Backends: real connections, each with a server process behind it. See backend.c. */
#ifndef BACKEND_H
#define BACKEND_H

#include "fingerprint.h"
#include "libpq.h"
#include "statement.h"
#include "target.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

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
	int descriptor;          /* libpq's socket, as it was opened; -1 while that is not known */
	dev_t device; /* ... to know it from a file of the program's that has its number */
	ino_t inode;
	pid_t *share;       /* what was forked since it was attached has it, too: see share.h */
	bool connected;     /* the trace has been told so */
	bool reset_pending; /* DISCARD ALL was sent and not read yet */
	bool tracing;       /* libpq writes what it exchanges to a file of the program */
	bool unshared;      /* known by its pid, or changed beyond reset: for nobody else */
	bool examined;      /* what only needs to be asked once has been asked */
	bool never_reset;   /* what its sessions change cannot be known, nor reset */
	bool functions_set; /* there are functions that set something: no text of a call tells */
	bool default_role;  /* the login has one, which DISCARD ALL does not give back */
	bool asking;        /* that question is on its way */
	bool refused;       /* a pooler has connected us, but has no place at the server */
	bool has_temporary; /* its sessions have had temporary objects */
	int64_t asked_ms;   /* when it was asked */
	int process;        /* pid of the server's that answered last; 0 for unknown */
	char process_start[24];   /* when that began */
	char guard[24];           /* the statement_timeout we gave it, as SHOW tells it; or "" */
	struct fingerprint blank; /* of a session that has changed nothing */
	uint64_t generation;      /* of what a new connection sees: see pool_login_changed */
	size_t stain_count;
	const char *stains[MOST_CUSTOM_SETTINGS]; /* settings that DISCARD ALL could not remove */
};

/*
 * Open a connection to the target into an empty backend. False: backend->conn is libpq's failed
 * one, or NULL.
 *   answer_by_ms  until when its first question must be answered; INT64_MAX for as long as it takes
 */
bool backend_open(struct backend *backend, struct target *target, int64_t answer_by_ms);

/*
 * The same in two steps, for PQconnectStart: begin, and adopt once PQconnectPoll says it is ready.
 */
bool backend_start(struct backend *backend, struct target *target);
void backend_started(struct backend *backend); /* after libpq's own PQreset, too */

/* Whether the program has left it its socket; if not, libpq must not be called with it. */
bool backend_has_socket(const struct backend *backend);

/* Whether what a new connection would see may have changed since it was opened. */
bool backend_is_older(const struct backend *backend);

/* Ask it what has to be known before it is reset or captured, unless that is known already. */
void backend_examine(struct backend *backend);

/*
 * The same in steps: send the question, false when there is nothing to ask; see whether it is
 * answered by then; take a backend that is not for one that was refused, and close it.
 */
bool backend_examine_begin(struct backend *backend);
bool backend_examined_by(struct backend *backend, int64_t until_ms);
void backend_take_for_refused(struct backend *backend);

/*
 * This process of the server has answered; says so, once for each target, if that shows a pooler in
 * transaction mode. start is "" where it is not known.
 */
void backend_note_process(struct backend *backend, const char *pid, const char *start);

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
 * Give it PQLEASH_STATEMENT_TIMEOUT again, after a statement that may have taken it off. Not in a
 * transaction.
 */
void backend_guard(struct backend *backend);

/*
 * Where transactions are serializable, read-only and deferrable by default, a statement of ours would
 * wait for the end of others, which may be this same program's. False where they surely are not.
 */
bool backend_may_wait(const struct backend *backend);

/*
 * What a message begins with so that it does not; "" where it would not anyway: it takes the server
 * a tenth of the time of our questions.
 */
const char *backend_isolation(const struct backend *backend);

/* Whether the program has it in pipeline mode, if this libpq knows that. */
bool backend_in_pipeline(const struct backend *backend);

/* Whether the server has said nothing that was not read yet. */
bool backend_is_quiet(const struct backend *backend);

/* Run a query of our own; no notice of it reaches the program. The caller clears the result. */
PGresult *backend_query(struct backend *backend, const char *query);

/*
 * What came of a command of our own, for the caller to clear. A server that is silent for the
 * connect timeout is not waited for any longer: then the connection is broken, as if it had closed.
 *   sent  what libpq's PQsend... said
 */
PGresult *backend_answer(struct backend *backend, int sent);

/* For libpq to have a result, or an error to tell; false when there is none until the deadline. */
bool backend_wait_for_result(PGconn *conn, int64_t deadline_ms);

/* The same, result by result, as PQgetResult. */
PGresult *backend_next_result(struct backend *backend);

/*
 * Whether the server's side has closed. What it said before that is still libpq's to read, so that
 * the session that holds it sees of it what it would see without us.
 */
bool backend_has_hung_up(const struct backend *backend);

/*
 * Of a connect that failed: whether that was for want of a server that takes connections, which may
 * be away only for a while.
 */
bool backend_found_no_server(const struct backend *backend);

/* What libpq gives a connection before anyone sets it. */
struct backend_defaults {
	PQnoticeReceiver receiver;
	PQnoticeProcessor processor;
	void *processor_argument;
};
const struct backend_defaults *backend_defaults(void);

/* Keep the program's notice functions away while we talk to the server. */
void backend_hush(struct backend *backend);

/*
 * Before commands of our own: the same, and libpq does not wait for the server. It forgets its last
 * error, so that has to be kept before. session_apply_client undoes both.
 */
void backend_talk(struct backend *backend);

/* In a child: close its copy of an inherited socket, without a word to the server. */
void backend_abandon(struct backend *backend);

#endif
