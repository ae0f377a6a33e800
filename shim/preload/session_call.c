/*
 * The calls on a session: whose turn it is, what has to be done before libpq is called and after, and
 * what is kept until there is a backend. Owns the marks of calls and the numbers of threads.
 */
#include "session_parts.h"
#include "backend.h"
#include "command.h"
#include "lock.h"
#include "pool.h"
#include "process.h"
#include "say.h"
#include "settings.h"
#include "statement.h"
#include "trace.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* How long a call waits for another thread's call on the same session, which libpq forbids it to. */
#define OTHERS_CALL_MS 1000

__thread uintptr_t session_thread __attribute__((tls_model("initial-exec")));

void session_number_thread(void)
{
	static uintptr_t last;
	uintptr_t most = ((uintptr_t)1 << (64 - THREAD_SHIFT)) - 1;

	session_thread = (__atomic_fetch_add(&last, 1, __ATOMIC_RELAXED) % most + 1)
			 << THREAD_SHIFT;
}

/* This thread's own call goes on around us, or it was left by longjmp: then its mark is ours. */
static struct call enter_again(struct call call, void *found)
{
	/* The stack grows down: a deeper frame, or one in our own place, is one that is no more. */
	if (session_frame_of(found) > session_frame_of(call.mark))
		call.mark = NULL;
	else
		__atomic_store_n(&call.session->busy, call.mark, __ATOMIC_RELEASE);
	return call;
}

/* Whether a call may look at the session while another thread's call is running on it. */
static bool may_visit(struct session *session, enum call_kind kind)
{
	return kind <= CALL_LOCAL ||
	       (kind == CALL_ASK && __atomic_load_n(&session->conn, __ATOMIC_RELAXED));
}

struct call session_enter_busy(struct call call, enum call_kind kind)
{
	NO_CANCEL();
	struct session *session = call.session;
	int64_t until_ms = process_clock_ms() + OTHERS_CALL_MS;
	void *found = NULL;

	while (!__atomic_compare_exchange_n(
	    &session->busy, &found, call.mark, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
		if (found == SESSION_MOVING)
			pool_wait_until_moved(session);
		else if (found && ((uintptr_t)found ^ (uintptr_t)call.mark) >> THREAD_SHIFT == 0)
			return enter_again(call, found);
		else if (may_visit(session, kind) || process_clock_ms() >= until_ms) {
			__atomic_add_fetch(&session->visitors, 1, __ATOMIC_SEQ_CST);
			call.mark = SESSION_VISIT;
			return call;
		} else
			sched_yield();
		found = NULL;
	}
	return call;
}

/* For tests: as if somebody had wanted the backend between any two calls. */
static void park_between_calls(struct session *session)
{
	void *none = NULL;
	bool clean = session_is_clean(session);

	if (!__atomic_compare_exchange_n(
		&session->busy, &none, SESSION_MOVING, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	if (session->backend && session->owner == process_id() && session_park(session))
		pool_release(session_detach(session), !clean);
	__atomic_store_n(&session->busy, NULL, __ATOMIC_RELEASE);
	pool_wake();
}

void session_left(struct session *session, bool holds)
{
	NO_CANCEL();
	if (settings()->park_always)
		park_between_calls(session);
	/*
	 * One that waits itself has nothing to tell; with one thread only, what holds still does. With
	 * more, a thread that waits looks by itself until the share is over.
	 */
	if (!holds)
		return;
	if (process_has_threads()
		? pool_is_polled_for() || !session_has_time(session, process_clock_ms())
		: session->backend && REAL(PQtransactionStatus)(session->conn) != PQTRANS_ACTIVE)
		pool_wake();
}

/* Use after PQfinish: recorded, and the session goes on as a new one of the same target. */
static void revive(struct session *session)
{
	SESSION_COUNT(used_after_finish);
	trace_used_after_finish(session);
	say_debug("a connection is used after PQfinish");
	if (session->state == SESSION_FREE || session->never_connected) {
		/* A free slot stays one. */
		session_play_dead(
		    session, session->state == SESSION_FREE ? SESSION_FREE : SESSION_FAILED);
		return;
	}
	lock_take(LOCK_SESSIONS);
	session->state = SESSION_OPEN;
	session_own(session);
	lock_release(LOCK_SESSIONS);
	session_count_open(session, true);
}

/*
 * Others wait for a backend and this session has had its share: without this, a program that calls
 * again and again would never let go of one. It stands in line like the others.
 */
static bool yield(struct session *session)
{
	bool clean = session_is_clean(session);

	if (!session->backend || session->owner != process_id() ||
	    session_has_time(session, process_clock_ms()))
		return false;
	session_begin_share(session);
	if (!session_park(session))
		return false;
	pool_release(session_detach(session), !clean);
	return true;
}

/* What PQsendQuery and the calls after it asked for, now that there is a backend. */
static void send_kept(struct session *session)
{
	struct command *kept = session->kept;

	session->kept = NULL;
	session->dirty = true;
	statement_sent(session, kept->query, kept->kind == COMMAND_PREPARE);
	/* The program was told that all of it is sent. */
	REAL(PQsetnonblocking)(session->conn, 0);
	int sent = command_send(kept, session->conn);
	if (session->client.nonblocking)
		REAL(PQsetnonblocking)(session->conn, 1);
	command_free(kept);
	if (sent && session->rows_at_a_time > 0)
		REAL(PQsetSingleRowMode)(session->conn);
	else if (sent && session->rows_at_a_time < 0)
		REAL(PQsetChunkedRowsMode)(session->conn, -session->rows_at_a_time);
	if (sent && __atomic_load_n(&session->cancel_kept, __ATOMIC_SEQ_CST))
		REAL(PQrequestCancel)(session->conn);
}

/* Event procedures are told of every result, and a trace of every message: of ours too. */
bool session_would_see_ours(const struct session *session)
{
	return session->has_events || session->backend->tracing;
}

void session_unguard(struct session *session)
{
	session->unguarded = true;
	session->ready = false;
}

/*
 * A RESET or DISCARD of the program's gives it the statement_timeout of its login. Where that is
 * none, ours is back before the next statement; a transaction must end first. One that listens may
 * wait for notifications at its descriptor: asking would read them.
 */
static void guard_again(struct session *session)
{
	if (session_would_see_ours(session) ||
	    REAL(PQtransactionStatus)(session->conn) != PQTRANS_IDLE || session->channels > 0 ||
	    backend_in_pipeline(session->backend))
		return;
	backend_guard(session->backend);
	session_apply_client(session, session->conn);
	session->unguarded = false;
	session->ready = !session->error;
}

void session_prepare(struct session *session, enum call_kind kind)
{
	if (kind == CALL_OWN)
		return;
	NO_CANCEL();
	if (session->owner != process_id())
		session_use_inherited(session, kind);
	if (session->state == SESSION_FINISHED || session->state == SESSION_FREE)
		revive(session);
	if (session->state == SESSION_STARTING && !session->conn &&
	    (kind == CALL_USE || kind == CALL_EXECUTE || kind == CALL_SEND))
		session_copy_error(session, "no connection to the server\n");
	if (kind == CALL_STATE || session->state != SESSION_OPEN)
		return;
	if (kind == CALL_POLL && !session->kept)
		return;
	/* There is no COPY yet. */
	if (kind == CALL_ADD && session->kept)
		return;
	/* As in libpq: a question leaves the last error as it is. */
	if (kind != CALL_ASK && kind != CALL_ADD)
		session_forget_error(session);
	bool may_wait = kind != CALL_POLL && kind != CALL_SEND && kind != CALL_LOCAL;
	bool yielded = __atomic_load_n(&session_awaited, __ATOMIC_RELAXED) > 0 &&
		       (kind == CALL_SEND || process_has_threads()) && yield(session);
	if (!session->backend && (may_wait || !yielded)) {
		if (kind == CALL_EXECUTE)
			__atomic_store_n(&session->cancel_kept, false, __ATOMIC_SEQ_CST);
		session_attach_again(session, may_wait);
		session->cancelled = kind == CALL_EXECUTE && session->backend &&
				     __atomic_load_n(&session->cancel_kept, __ATOMIC_SEQ_CST);
	}
	if (session->unguarded && session->backend && kind >= CALL_SEND)
		guard_again(session);
	if (session->backend && session->kept)
		send_kept(session);
	else if (session->kept && session->state == SESSION_OPEN)
		session_await(session);
}

int session_postpone(struct session *session, const struct command *command)
{
	const char *error = NULL;

	if (session->kept)
		error = "another command is already in progress\n";
	else if (!(session->kept = command_copy(command)))
		error = "out of memory\n";
	if (error) {
		session_copy_error(session, error);
		return 0;
	}
	session->rows_at_a_time = 0;
	__atomic_store_n(&session->cancel_kept, false, __ATOMIC_SEQ_CST);
	session_await(session);
	return 1;
}

void session_try_attach(struct session *session)
{
	NO_CANCEL();
	if (session->state == SESSION_OPEN && !session->backend && !session->kept)
		session_attach_again(session, false);
}

PGconn *session_borrow(struct call *call, struct session **lender)
{
	NO_CANCEL();
	struct session *session = call->session;
	PGconn *conn = __atomic_load_n(&session->conn, __ATOMIC_SEQ_CST);

	*lender = NULL;
	if (conn || session->state != SESSION_OPEN)
		return conn;
	/* There is nothing to look at: its own thread need not wait for us. */
	session_end_visit(call);
	*lender = pool_lender(session);
	if (*lender)
		return (*lender)->conn;
	if (!call->mark)
		return NULL;
	session_attach_again(session, true);
	return session->conn;
}

void session_return(struct session **lender)
{
	NO_CANCEL();
	if (*lender)
		pool_return(*lender);
}
