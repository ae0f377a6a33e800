/*
 * How a session gets a backend: asks the pool, connects, tries again where the server has no room or
 * is away, waits without blocking for PQconnectPoll. Decides nothing about who gets which.
 */
#include "session_parts.h"
#include "backend.h"
#include "cancel.h"
#include "descriptor.h"
#include "pool.h"
#include "process.h"
#include "say.h"
#include "settings.h"
#include "text.h"
#include "trace.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

/*
 * How long PQconnectPoll waits for the answer to our own first question, and, where there is none,
 * how soon it is to be called again.
 */
#define ANSWER_MS 100
#define LOOK_AGAIN_MS 1000

/* How often a connection may break while a session is put back on it, before that is the program's. */
#define MOST_BREAKS 1

/* The longest pause between two attempts to reach a server that is away. */
#define MOST_PAUSE_MS 200

/* How many holders of backends the trace names. */
#define MOST_HOLDERS 16

/* The connection that libpq could not make becomes the session's; the place is free again. */
static void fail_to_open(struct session *session, struct backend *backend)
{
	PGconn *failed = backend->conn;

	backend->conn = NULL;
	pool_give_up(backend);
	session_fail(session, failed, NULL);
}

static char *pool_error(const char *error)
{
	struct text message = {0};

	say("%s", error);
	text_add(&message, "pqleash: %s\n", error);
	return text_take(&message);
}

static void tell_exhausted(struct session *session)
{
	struct session *holders[MOST_HOLDERS];

	SESSION_COUNT(exhausted);
	trace_exhausted(session, holders, pool_holders(holders, MOST_HOLDERS));
}

/* A server that has refused is not asked before the pause is over, if there is nothing to share. */
static bool may_ask(struct session *session)
{
	if (session->retry.next_ms == 0)
		return true;
	if (process_clock_ms() < session->retry.next_ms &&
	    pool_prospect(session->target) != POOL_HAS_IDLE)
		return false;
	session->retry.next_ms = 0;
	pool_stop_awaiting(session);
	return true;
}

/* Until there is a backend, or a refused session may ask again, its descriptor stays quiet. */
void session_await(struct session *session)
{
	if (session->retry.next_ms > 0)
		pool_await_until(session, session->retry.next_ms);
	else
		pool_await(session);
}

/* A place for the session: NULL when it failed for want of one, or, if it may not wait, not yet. */
static struct backend *acquire(struct session *session, bool may_wait)
{
	char *error = NULL;

	if (may_wait)
		refusal_pause(&session->retry);
	else if (!may_ask(session))
		return NULL;
	struct backend *backend = pool_acquire(session, may_wait, &error);
	bool starved = !backend && !error && may_wait;

	if (backend || error || starved)
		pool_stop_awaiting(session);
	if (error) {
		tell_exhausted(session);
		session_fail(session, NULL, pool_error(error));
	} else if (starved)
		session_fail(session, NULL, session_no_memory);
	free(error);
	return backend;
}

/*
 * A backend could not be opened: the session has failed, unless that was for want of room. Then
 * true: ask the pool again, at once if we hold others to share; else after a pause, until the pool
 * timeout.
 */
static bool may_try_again(struct session *session, struct backend *backend)
{
	PGconn *refused = backend->conn;
	const char *message = REAL(PQerrorMessage)(refused);

	if (!backend->refused && !refusal_is(message)) {
		fail_to_open(session, backend);
		return false;
	}
	backend->conn = NULL;
	if (!pool_refused(backend, session->target) &&
	    !refusal_retry(&session->retry, pool_timeout_ms())) {
		refusal_tell(session->target->label, message, pool_timeout_ms());
		session_fail(session, refused, NULL);
		return false;
	}
	REAL(PQfinish)(refused);
	return true;
}

/* Until when a pooler may make a new backend wait, where there are others to share instead. */
static int64_t patience_ends_ms(void)
{
	return pool_count() > 1 ? process_clock_ms() + pool_timeout_ms() : INT64_MAX;
}

/* The server is away, since then at the latest: false when it has been for too long. */
static bool may_come_back(struct session *session, int64_t since_ms)
{
	if (!session->away_until_ms)
		session->away_until_ms = since_ms + pool_timeout_ms();
	if (process_clock_ms() >= session->away_until_ms)
		session->away_until_ms = 0;
	return session->away_until_ms != 0;
}

/* There is no server to connect to just now; one that refuses is there, and at exit none is waited for. */
static bool is_away(const struct backend *backend)
{
	return !backend->refused && !process_is_ending() && backend_found_no_server(backend);
}

/*
 * Open a connection for a session that is to be put back on one: its program need not know that the
 * server is away for a while, nor that a connection broke while it was made. Where it may not wait,
 * away_until_ms tells that there is still hope.
 */
static bool open_again(struct session *session, struct backend *backend, bool may_wait)
{
	int64_t began_ms = process_clock_ms();
	int breaks = MOST_BREAKS;

	for (int pause_ms = 1; !backend_open(backend, session->target, patience_ends_ms());
	     pause_ms *= 2) {
		if (!is_away(backend) || !may_come_back(session, began_ms) ||
		    (--breaks < 0 && !may_wait))
			return false;
		backend_close(backend);
		poll(NULL, 0, pause_ms < MOST_PAUSE_MS ? pause_ms : MOST_PAUSE_MS);
	}
	return true;
}

void session_connect_now(struct session *session)
{
	struct backend *backend;

	while ((backend = acquire(session, true))) {
		if (backend->conn || backend_open(backend, session->target, patience_ends_ms())) {
			session_attach(session, backend);
			return;
		}
		if (!may_try_again(session, backend))
			return;
	}
}

static void attach_parked(struct session *session, bool may_wait)
{
	struct backend *backend;
	int breaks = MOST_BREAKS;

	while (session->state == SESSION_OPEN && (backend = acquire(session, may_wait))) {
		if (backend->conn || open_again(session, backend, may_wait)) {
			if (!session_restore(session, backend, &breaks))
				continue;
			session_attach(session, backend);
			return;
		}
		if (session->away_until_ms && is_away(backend)) {
			pool_give_up(backend);
			return;
		}
		if (!may_try_again(session, backend))
			return;
	}
}

/*
 * A session that was open gets a backend again, or is lost: it must not fail as if it had never
 * been.
 */
void session_attach_again(struct session *session, bool may_wait)
{
	attach_parked(session, may_wait);
	if (session->state != SESSION_FAILED)
		return;
	/* Not the failed connection: libpq waits for ever for one whose connect timed out. */
	PGconn *failed = session->dead;
	session->conn = session->dead = NULL;
	session->away_until_ms = 0;
	if (session->error)
		session_lose(session, session->error);
	else
		session_lose_for(
		    session, "could not be attached again: ", REAL(PQerrorMessage)(failed));
	REAL(PQfinish)(failed);
	session->never_connected = false;
}

/* ---- Open ---- */

void session_opened(struct session *session)
{
	if (session->state != SESSION_OPEN)
		return;
	if (!session->counted_opened)
		SESSION_COUNT(opened);
	session->counted_opened = true;
	session_count_open(session, true);
}

/* Whether its connects succeed, and what the program may ask of it before is known. */
static bool is_known(const struct target *target)
{
	return __atomic_load_n(&target->known_good, __ATOMIC_ACQUIRE) && !target->replication &&
	       target->identities;
}

/*
 * When the pool is full, a session of a target known to be good waits for its first use; but not if
 * there would be nothing to wait for.
 */
static bool open_later(struct session *session, struct target *target)
{
	session->target = target;
	if (!is_known(target) || pool_prospect(target) != POOL_IS_FULL)
		return false;
	session->identity = target->identities;
	session->client_encoding = target->identities->client_encoding;
	session->state = SESSION_OPEN;
	return true;
}

void session_open(struct session *session, struct target *target)
{
	NO_CANCEL();
	if (!open_later(session, target))
		session_connect_now(session);
	session_opened(session);
}

/* PQconnectStart, for a session with a target. */
static void start(struct session *session)
{
	struct backend *backend = acquire(session, false);

	if (!backend && session->state != SESSION_FAILED) {
		session->state = SESSION_STARTING;
		session_await(session);
	}
	if (!backend)
		return;
	if (backend->conn)
		session_attach(session, backend);
	else if (backend_start(backend, session->target)) {
		session->state = SESSION_STARTING;
		session_own(session);
		session->backend = backend;
		session->conn = backend->conn;
		session->ready = true;
		session_apply_client(session, backend->conn);
		pool_hold(backend, session);
		descriptor_follow(session);
	} else
		fail_to_open(session, backend);
}

/*
 * Where there is no room to connect, PQconnectPoll finds out how to do without: until it is called,
 * the program has a connection that is not ready.
 */
void session_start_first(struct session *session)
{
	if (pool_prospect(session->target) == POOL_HAS_ROOM)
		start(session);
	else {
		session->state = SESSION_STARTING;
		session->identity = session->target->identities;
		session->client_encoding = 0;
		descriptor_follow(session);
	}
	session_opened(session);
}

void session_start(struct session *session, struct target *target)
{
	NO_CANCEL();
	session->target = target;
	session_start_first(session);
}

/* libpq has said that the connect failed. */
static void start_failed(struct session *session)
{
	struct backend *backend = session->backend;

	session->backend = NULL;
	session->conn = session->dead;
	session->ready = false;
	if (may_try_again(session, backend))
		start(session);
}

/*
 * PQconnectStart found no place: by now there may be one, or reason to think that there need be
 * none.
 */
static void start_again(struct session *session)
{
	session_set_error(session, NULL);
	session->state = SESSION_OPEN;
	descriptor_follow(session);
	if (!open_later(session, session->target))
		start(session);
	session_opened(session);
	if (session->state == SESSION_OPEN) {
		pool_stop_awaiting(session);
		pool_wake();
	}
}

/* libpq's PQconnectPoll or PQresetPoll has said its last word. */
static void start_ended(struct session *session, bool good)
{
	bool was_reset = session->resetting;

	session->resetting = false;
	if (good) {
		backend_started(session->backend);
		session_adopt_connection(session);
		cancel_renew(session);
		trace_attach(session);
	} else if (was_reset) /* a broken connection, which can be reset again */
		session->state = SESSION_OPEN;
	else
		start_failed(session);
	session_opened(session);
}

static PostgresPollingStatusType polling_status(const struct session *session)
{
	if (session->state == SESSION_STARTING)
		return session->backend ? PGRES_POLLING_WRITING : PGRES_POLLING_READING;
	bool good = session->state == SESSION_OPEN &&
		    (!session->conn || REAL(PQstatus)(session->conn) == CONNECTION_OK);
	return good ? PGRES_POLLING_OK : PGRES_POLLING_FAILED;
}

static PostgresPollingStatusType poll_libpq(struct session *session)
{
	PostgresPollingStatusType status = session->resetting ? REAL(PQresetPoll)(session->conn)
							      : REAL(PQconnectPoll)(session->conn);

	/* libpq may have gone on to the next address, and another socket. */
	descriptor_follow(session);
	return status;
}

/*
 * libpq has connected, but a pooler may not have a place yet: where there are others to share
 * instead, that is found out before the program is told. A server answers at once; where it does
 * not, the descriptor wakes the program to have another look. True while there is no answer.
 */
static bool is_unanswered(struct session *session)
{
	struct backend *backend = session->backend;
	int64_t now = process_clock_ms();

	if (!backend->asking && (session_would_see_ours(session) ||
				    (pool_count() <= 1 && settings()->statement_timeout_ms == 0) ||
				    !backend_examine_begin(backend)))
		return false;
	session->ready = false;
	if (!backend_examined_by(backend, now + ANSWER_MS)) {
		descriptor_await(session, LOOK_AGAIN_MS);
		if (pool_count() <= 1 || now - backend->asked_ms < pool_timeout_ms())
			return true;
		backend_take_for_refused(backend);
	}
	session_apply_client(session, session->conn);
	descriptor_follow(session);
	return false;
}

PostgresPollingStatusType session_poll(struct session *session)
{
	NO_CANCEL();

	if (session->state == SESSION_STARTING && session->backend) {
		PostgresPollingStatusType status =
		    session->backend->asking ? PGRES_POLLING_OK : poll_libpq(session);

		if (status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED)
			return status;
		if (status == PGRES_POLLING_OK && is_unanswered(session))
			return PGRES_POLLING_READING;
		start_ended(session, status == PGRES_POLLING_OK && !session->backend->refused);
	} else if (session->state == SESSION_STARTING)
		start_again(session);
	return polling_status(session);
}
