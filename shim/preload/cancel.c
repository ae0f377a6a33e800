/*
 * Cancelling. A PGcancel that the program holds is a slot in the sessions' range that names its
 * session, so that it acts on whatever backend the session has when PQcancel is called; while it
 * waits for one, the cancel follows the statement. PQcancel stays async-signal-safe: it touches
 * nothing but atomics and the thread's cancel state, and calls libpq's own.
 */
#include "cancel.h"
#include "process.h"
#include "session.h"

#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <string.h>

/* Another thread's PQgetCancel may be at it too. */
void cancel_renew(struct session *session)
{
	PGconn *conn = __atomic_load_n(&session->conn, __ATOMIC_SEQ_CST);

	if (!conn || !__atomic_load_n(&session->wants_cancel, __ATOMIC_SEQ_CST))
		return;
	PGcancel *fresh = REAL(PQgetCancel)(conn), *none = NULL;
	__atomic_store_n(
	    &session->cancel_starved, !fresh && REAL(PQsocket)(conn) >= 0, __ATOMIC_SEQ_CST);
	if (fresh && !__atomic_compare_exchange_n(
			 &session->cancel, &none, fresh, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		REAL(PQfreeCancel)(fresh);
}

/*
 * A PQcancel that has read it already is let finish: the server has the signal before libpq
 * returns, so it cannot strike the next session's statement.
 */
static void forget_once(struct session *session)
{
	PGcancel *cancel = __atomic_exchange_n(&session->cancel, NULL, __ATOMIC_SEQ_CST);

	__atomic_store_n(&session->cancel_starved, false, __ATOMIC_SEQ_CST);
	for (int tries = 0; __atomic_load_n(&session->visitors, __ATOMIC_SEQ_CST) > 0; tries++) {
		/* A cancel's connect may take its time. */
		if (tries < 100)
			sched_yield();
		else
			poll(NULL, 0, 1);
	}
	if (cancel)
		REAL(PQfreeCancel)(cancel);
}

void cancel_forget(struct session *session)
{
	NO_CANCEL();
	forget_once(session);
	/* One whose making had begun before. */
	forget_once(session);
}

/* What the program has looks like libpq's own, as far as the backend is known. */
static void show_as(struct session *slot, PGcancel *real)
{
	size_t size = real ? malloc_usable_size(real) : 0;

	if (real)
		memcpy(slot->cancel_image, real, size < CANCEL_IMAGE ? size : CANCEL_IMAGE);
}

static bool is_starved(const struct session *session)
{
	return __atomic_load_n(&session->cancel_starved, __ATOMIC_SEQ_CST);
}

PGcancel *wrap_PQgetCancel(PGconn *conn)
{
	RESOLVE();
	if (!is_session(conn))
		return REAL(PQgetCancel)(conn);
	SESSION_CALL(conn, CALL_STATE);
	if (__atomic_load_n(&session->state, __ATOMIC_RELAXED) != SESSION_OPEN)
		return REAL(PQgetCancel)(session->conn);
	struct session *slot = session_slot();
	if (!slot)
		return NULL;
	slot->state = SESSION_CANCEL;
	slot->cancel_of = session;
	slot->life = session->life;
	if (!__atomic_exchange_n(&session->wants_cancel, true, __ATOMIC_SEQ_CST) ||
	    is_starved(session))
		cancel_renew(session);
	if (is_starved(session)) {
		session_slot_free(slot);
		return NULL;
	}
	show_as(slot, __atomic_load_n(&session->cancel, __ATOMIC_SEQ_CST));
	return (PGcancel *)slot;
}

void wrap_PQfreeCancel(PGcancel *cancel)
{
	if (!is_session(cancel))
		REAL(PQfreeCancel)(cancel);
	else if (((struct session *)cancel)->state == SESSION_CANCEL)
		session_slot_free((struct session *)cancel);
}

/* With no statement running there is nothing to cancel, which libpq reports as success too. */
static int cancel_now(struct session *session, char *errbuf, int errbufsize)
{
	NO_CANCEL();
	int done = 1;

	if (errbufsize > 0)
		errbuf[0] = '\0';
	if (session_was_moved(session))
		return 1;
	__atomic_add_fetch(&session->visitors, 1, __ATOMIC_SEQ_CST);
	PGcancel *real = __atomic_load_n(&session->cancel, __ATOMIC_SEQ_CST);
	if (!real) {
		__atomic_store_n(&session->cancel_kept, true, __ATOMIC_SEQ_CST);
		/* Its backend may have come meanwhile, with nobody looking at that any more. */
		real = __atomic_load_n(&session->cancel, __ATOMIC_SEQ_CST);
	}
	if (real)
		done = REAL(PQcancel)(real, errbuf, errbufsize);
	else if (is_starved(session)) {
		done = 0;
		if (errbufsize > 0)
			strncat(errbuf, session_no_memory, (size_t)errbufsize - 1);
	}
	__atomic_sub_fetch(&session->visitors, 1, __ATOMIC_SEQ_CST);
	return done;
}

int wrap_PQcancel(PGcancel *cancel, char *errbuf, int errbufsize)
{
	if (!is_session(cancel))
		return REAL(PQcancel)(cancel, errbuf, errbufsize);
	struct session *slot = (struct session *)cancel;
	if (slot->state != SESSION_CANCEL || slot->cancel_of->life != slot->life)
		return 1;
	return cancel_now(slot->cancel_of, errbuf, errbufsize);
}

int wrap_PQrequestCancel(PGconn *conn)
{
	RESOLVE();
	if (!is_session(conn))
		return REAL(PQrequestCancel)(conn);
	SESSION_CALL(conn, CALL_STATE);
	if (session_was_moved(session))
		return 1;
	__atomic_store_n(&session->cancel_kept, true, __ATOMIC_SEQ_CST);
	PGconn *real = __atomic_load_n(&session->conn, __ATOMIC_SEQ_CST);
	return real ? REAL(PQrequestCancel)(real) : 1;
}

/* libpq's own object knows one backend: the session stays there. */
struct pg_cancel_conn *wrap_PQcancelCreate(PGconn *conn)
{
	RESOLVE();
	if (!is_session(conn))
		return REAL(PQcancelCreate)(conn);
	SESSION_CALL(conn, CALL_ASK);
	session_pin(session, "has given the program a cancel connection");
	return REAL(PQcancelCreate)(session->conn);
}
