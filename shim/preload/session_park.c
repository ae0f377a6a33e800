/*
 * How a session is made to give its backend up: whether it can move, and what moves along. What the
 * server's side holds is park.c's to read and put back, and fingerprint.c's to compare.
 */
#include "session_parts.h"
#include "backend.h"
#include "park.h"
#include "pool.h"
#include "share.h"
#include "statement.h"

#include <stdlib.h>
#include <string.h>

void session_pin(struct session *session, const char *why)
{
	session->pinned_for_good = why;
	if (session->backend)
		session->backend->unshared = true;
}

/* Why the session cannot move whatever the server says; NULL for no such reason. */
static const char *find_pin(const struct session *session)
{
	if (session->pinned_for_good)
		return session->pinned_for_good;
	if (!session->identity)
		return "could not be remembered: there was no memory";
	if (session->backend->tracing)
		return "is being traced";
	if (session->target->replication)
		return "is a replication connection";
	if (session->target->pgbouncer || !session->dirty)
		return NULL;
	if (session->backend->never_reset)
		return "may have state that cannot be read";
	if (session->unnamed_statement)
		return "may execute its unnamed prepared statement";
	/* Asking would read notifications that the program waits for at its descriptor. */
	if (session->channels > 0)
		return "is listening for notifications";
	return NULL;
}

static bool is_quiescent(const struct session *session)
{
	return session->state == SESSION_OPEN &&
	       REAL(PQtransactionStatus)(session->conn) == PQTRANS_IDLE &&
	       !backend_in_pipeline(session->backend);
}

bool session_is_clean(const struct session *session)
{
	return !session->dirty && !session->parked;
}

/* What lives in libpq's connection comes along. */
static void leave_client(struct session *session)
{
	session_remove_client(session, session->backend);
	session_keep_client_state(session);
}

/* It stays after all. The message that libpq still has is not kept as well. */
static void return_client(struct session *session)
{
	size_t kept = session->error ? strlen(session->error) : 0;

	session_apply_client(session, session->conn);
	size_t left = strlen(REAL(PQerrorMessage)(session->conn));
	/* Of a broken connection libpq says what the program is to know. */
	if (REAL(PQstatus)(session->conn) != CONNECTION_OK)
		kept = 0;
	if (kept > left && session->error != session_no_memory)
		session->error[kept - left] = '\0';
	else
		session_set_error(session, NULL);
}

void session_forget_snapshot(struct session *session)
{
	snapshot_free(session->parked);
	session->parked = NULL;
	session->captured.taken = false;
}

/*
 * Whether the session has changed nothing since it was captured, or has nothing to capture. Asked
 * only where there is a fingerprint to compare with.
 */
static bool is_as_captured(struct session *session)
{
	struct backend *backend = session->backend;
	struct fingerprint now;

	if (session->sets || session->may_set || backend->functions_set ||
	    statement_made_setter() || backend_is_older(backend) || backend->default_role ||
	    custom_overflowed())
		return false;
	/* One that has something is never taken for blank: it may be set to what it would be anyway. */
	const struct fingerprint *before = session->parked ? &session->captured : &backend->blank;
	return fingerprint_is_fresh(before) && fingerprint_take(&now, backend) &&
	       fingerprint_matches(&now, before);
}

/*
 * Returns what cannot be moved, or NULL. A fingerprint costs a round trip: it is taken once for what
 * every session begins with, and for a session that has been moved before and will be again.
 */
static const char *capture(struct session *session)
{
	struct backend *backend = session->backend;
	bool again = session->parked;
	struct snapshot *snapshot;
	const char *pin = snapshot_capture(backend, &snapshot);

	if (pin)
		return pin;
	session_forget_snapshot(session);
	session->parked = snapshot;
	session->sets = false;
	if (snapshot && again)
		fingerprint_take(&session->captured, backend);
	else if (!snapshot && !fingerprint_is_fresh(&backend->blank))
		fingerprint_take(&backend->blank, backend);
	return NULL;
}

/* Whether no forked child uses its backend. What one has done there that has ended is not known. */
static bool claim(struct session *session)
{
	bool used = false;

	if (!share_claim(session->backend->share, &used)) {
		session->pinned = "is used by a forked child";
		return false;
	}
	if (used) {
		session->dirty = session->sets = session->backend->unshared = true;
		session->sent = __atomic_add_fetch(&session_clock, 1, __ATOMIC_RELAXED);
	}
	return !used || backend_is_quiet(session->backend);
}

static bool park(struct session *session)
{
	const char *pin = find_pin(session);
	if (pin) {
		session->pinned = pin;
		return false;
	}
	if (session->target->pgbouncer ||
	    (!session->dirty && !backend_is_older(session->backend))) {
		leave_client(session);
		return true;
	}
	/* Asked before, and nothing sent since: the answer is the same. */
	if (session->asked == session->sent)
		return false;
	session->asked = session->sent;
	leave_client(session);
	if (session->unguarded)
		backend_guard(session->backend);
	session->unguarded = false;
	backend_examine(session->backend);
	session->pinned = find_pin(session);
	if (!session->pinned && !is_as_captured(session))
		session->pinned = capture(session);
	/* A child has begun one. */
	if (!session->pinned && !is_quiescent(session))
		session->pinned = "is in a transaction";
	if (session->pinned)
		return_client(session);
	return !session->pinned;
}

bool session_park(struct session *session)
{
	/* What a server that has gone had to say is for the program to read. */
	if (!is_quiescent(session) || backend_has_hung_up(session->backend))
		return false;
	bool parked = claim(session) && park(session);
	if (!parked)
		share_unclaim(session->backend->share);
	return parked;
}

/* What we have asked may not have been answered yet. */
void session_stay(struct session *session)
{
	if (!session->backend || session->state != SESSION_OPEN)
		return;
	for (PGresult *rest; (rest = backend_next_result(session->backend));)
		REAL(PQclear)(rest);
	session_apply_client(session, session->conn);
	session->asked = UINT64_MAX;
}
