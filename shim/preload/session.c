/*
 * The life of one session: opened, attached, detached, parked, lost, finished, revived. Owns the
 * reserved address range and the quarantine. Called by the wrappers; asks the pool for backends;
 * the state of the server's side is park.c's.
 */
#include "session.h"
#include "backend.h"
#include "cancel.h"
#include "command.h"
#include "descriptor.h"
#include "park.h"
#include "pool.h"
#include "process.h"
#include "say.h"
#include "settings.h"
#include "statement.h"
#include "status.h"
#include "suite.h"
#include "trace.h"
#include "text.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MOST_SESSIONS ((size_t)1 << 20)
#define FEWEST_SESSIONS ((size_t)1 << 10)
#define SESSIONS_PER_GROWTH 256
#define QUARANTINE 1024

/* How long a session keeps its backend from call to call while others wait for one. */
#define SLICE_MS 10

/* How long a call waits for another thread's call on the same session, which libpq forbids it to. */
#define OTHERS_CALL_MS 1000

/* How many holders of backends the trace names. */
#define MOST_HOLDERS 16

uintptr_t session_base, session_span;
uint64_t session_clock;
int session_awaited;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static size_t slots_used, slots_usable;
static struct session *free_slots;
static struct session *quarantine_first, *quarantine_last;
static size_t quarantined;
static struct session_counts counts;

/* ---- Slots ---- */

/* Address space only; where ulimit -v is tight, less of it will do. */
static void reserve(void)
{
	for (size_t slots = MOST_SESSIONS; slots >= FEWEST_SESSIONS; slots /= 4) {
		size_t bytes = slots * sizeof(struct session);
		void *range = mmap(
		    NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (range == MAP_FAILED)
			continue;
		session_base = (uintptr_t)range;
		session_span = bytes;
		return;
	}
	say("no address space for sessions; every connection is passed through");
}

bool session_leashed(const void *caller)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	if (!settings()->on || libpq_calls(caller))
		return false;
	pthread_once(&once, reserve);
	if (settings()->park_always && session_awaited == 0)
		session_awaited = 1;
	return session_span > 0;
}

/* Under the lock. */
static bool grow(void)
{
	size_t slots = session_span / sizeof(struct session);
	size_t more = slots - slots_usable;

	if (more > SESSIONS_PER_GROWTH)
		more = SESSIONS_PER_GROWTH;
	/* Whole pages from the start: what is usable already stays as it is. */
	if (more == 0 ||
	    mprotect((void *)session_base, (slots_usable + more) * sizeof(struct session),
		PROT_READ | PROT_WRITE) != 0)
		return false;
	slots_usable += more;
	return true;
}

struct session *session_slot(void)
{
	NO_CANCEL();
	struct session *slot = NULL;

	pthread_mutex_lock(&lock);
	if (free_slots) {
		slot = free_slots;
		free_slots = slot->next;
	} else if (slots_used < slots_usable || grow())
		slot = (struct session *)session_base + slots_used++;
	pthread_mutex_unlock(&lock);
	if (!slot)
		return NULL;
	uint64_t life = slot->life + 1;
	if (slot->dead)
		REAL(PQfinish)(slot->dead);
	text_wipe(slot->shown);
	free(slot->statuses);
	*slot = (struct session){.life = life, .descriptor = -1};
	return slot;
}

void session_slot_free(struct session *slot)
{
	pthread_mutex_lock(&lock);
	slot->state = SESSION_FREE;
	slot->next = free_slots;
	free_slots = slot;
	pthread_mutex_unlock(&lock);
}

static void count(unsigned long *counter, long change)
{
	__atomic_add_fetch(counter, (unsigned long)change, __ATOMIC_RELAXED);
}

/* Whether the program has it open: connected once, and not finished. */
static void count_open(struct session *session, bool open)
{
	if (session->counted_open != open)
		count(&counts.open, open ? 1 : -1);
	session->counted_open = open;
}

struct session_counts session_count(void)
{
	return (struct session_counts){
	    .opened = __atomic_load_n(&counts.opened, __ATOMIC_RELAXED),
	    .open = __atomic_load_n(&counts.open, __ATOMIC_RELAXED),
	    .used_after_finish = __atomic_load_n(&counts.used_after_finish, __ATOMIC_RELAXED),
	    .finished_twice = __atomic_load_n(&counts.finished_twice, __ATOMIC_RELAXED),
	    .lost = __atomic_load_n(&counts.lost, __ATOMIC_RELAXED),
	    .in_transaction = __atomic_load_n(&counts.in_transaction, __ATOMIC_RELAXED),
	    .exhausted = __atomic_load_n(&counts.exhausted, __ATOMIC_RELAXED),
	};
}

void session_forget_counts(void)
{
	counts = (struct session_counts){0};
	for (size_t i = 0; i < slots_used; i++)
		((struct session *)session_base + i)->counted_open = false;
}

struct session *session_new(void *opened_by)
{
	struct session *session = session_slot();

	if (!session) {
		say("no room for one more connection in this process");
		return NULL;
	}
	session->opened_by = opened_by;
	session->opened_ms = process_clock_ms();
	session->suite = suite_now();
	session->owner = process_id();
	session->used = __atomic_add_fetch(&session_clock, 1, __ATOMIC_RELAXED);
	return session;
}

char *session_describe(const struct session *session, char *buffer, size_t size)
{
	Dl_info info = {0};
	const char *file = "?";
	char place[128];

	if (dladdr(session->opened_by, &info) && info.dli_fname)
		file = strrchr(info.dli_fname, '/') ? strrchr(info.dli_fname, '/') + 1
						    : info.dli_fname;
	if (info.dli_sname)
		snprintf(place, sizeof place, "%s in %s", info.dli_sname, file);
	else
		snprintf(place, sizeof place, "%s+%#lx", file,
		    (unsigned long)((char *)session->opened_by - (char *)info.dli_fbase));
	snprintf(buffer, size, "suite %s, opened by %s %lld s ago", session->suite, place,
	    (long long)(process_clock_ms() - session->opened_ms) / 1000);
	return buffer;
}

void session_suite_ended(const char *suite)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < slots_used; i++) {
		struct session *session = (struct session *)session_base + i;

		if (session->suite == suite)
			session->suite_ended = true;
	}
	pthread_mutex_unlock(&lock);
}

/* ---- What the program sees of failures ---- */

/* libpq's words, where there is no memory for others. */
char session_no_memory[] = "out of memory\n";

void session_set_error(struct session *session, char *message)
{
	if (session->error != session_no_memory)
		text_wipe(session->error);
	session->error = message;
	session->ready = session->backend && !message;
}

void session_copy_error(struct session *session, const char *message)
{
	char *copy = strdup(message);

	session_set_error(session, copy ? copy : session_no_memory);
}

/*
 * A closed connection of libpq's: called with it, libpq itself gives the values its manual
 * documents.
 */
static PGconn *make_dead_connection(void)
{
	PGconn *dead = REAL(PQconnectStart)("pqleash=dead");
	return dead;
}

static void play_dead(struct session *session, enum session_state state)
{
	session->state = state;
	if (!session->dead)
		session->dead = make_dead_connection();
	if (!session->backend)
		session->conn = session->dead;
	session->ready = false;
}

void session_fail(struct session *session, PGconn *conn, char *error)
{
	session->dead = conn;
	session_set_error(session, conn || error ? error : session_no_memory);
	session->never_connected = true;
	play_dead(session, SESSION_FAILED);
	trace_failed(session);
}

static void take_away(struct session *session, const char *message)
{
	session_copy_error(session, message);
	play_dead(session, SESSION_LOST);
	/* The message has the prefix that the line gets. */
	message += strncmp(message, "pqleash: ", 9) == 0 ? 9 : 0;
	say_debug("%.*s", (int)strcspn(message, "\n"), message);
}

void session_lose(struct session *session, const char *message)
{
	count(&counts.lost, 1);
	take_away(session, message);
}

void session_exit(struct session *session)
{
	take_away(session, "pqleash: the program exits; this connection is closed\n");
}

void session_keep_broken(struct session *session)
{
	session->dead = session->conn;
	session->backend->conn = NULL;
	session->backend = NULL;
	trace_detach(session);
	cancel_forget(session);
	play_dead(session, SESSION_FAILED);
}

/* ---- Attach and detach ---- */

void session_apply_client(const struct session *session, PGconn *conn)
{
	const struct client_settings *client = &session->client;

	REAL(PQsetNoticeReceiver)
	(conn, client->has_receiver ? client->receiver : backend_defaults()->receiver,
	    client->receiver_argument);
	REAL(PQsetNoticeProcessor)
	(conn, client->has_processor ? client->processor : backend_defaults()->processor,
	    client->has_processor ? client->processor_argument
				  : backend_defaults()->processor_argument);
	if (client->has_verbosity)
		REAL(PQsetErrorVerbosity)(conn, client->verbosity);
	if (client->has_context)
		REAL(PQsetErrorContextVisibility)(conn, client->context);
	if (client->nonblocking)
		REAL(PQsetnonblocking)(conn, 1);
}

static void remove_client(const struct session *session, struct backend *backend)
{
	backend_hush(backend);
	if (session->client.has_verbosity)
		REAL(PQsetErrorVerbosity)(backend->conn, PQERRORS_DEFAULT);
	if (session->client.has_context)
		REAL(PQsetErrorContextVisibility)(backend->conn, PQSHOW_CONTEXT_ERRORS);
	if (session->client.nonblocking)
		REAL(PQsetnonblocking)(backend->conn, 0);
}

static void adopt_connection(struct session *session)
{
	session->identity = target_identify(session->target, session->conn);
	__atomic_store_n(&session->state, SESSION_OPEN, __ATOMIC_RELAXED);
	session->ready = !session->error;
	session->never_connected = false;
}

/*
 * Put the session on a backend that it may have. On failure the backend is gone, the session lost.
 */
static void session_attach(struct session *session, struct backend *backend)
{
	char *error = NULL;

	if (session->parked && !snapshot_restore(session->parked, backend, &error)) {
		struct text message = {0};

		if (error)
			text_add(&message, "pqleash: this connection was moved, and %s", error);
		pool_give_up(backend);
		session_lose(session, message.bytes ? message.bytes : session_no_memory);
		text_free(&message);
		free(error);
		return;
	}
	session->backend = backend;
	__atomic_store_n(&session->conn, backend->conn, __ATOMIC_SEQ_CST);
	session->owner = process_id();
	session->dirty = false;
	session->attached_ms = process_clock_ms();
	session_apply_client(session, backend->conn);
	pool_hold(backend, session);
	adopt_connection(session);
	cancel_renew(session);
	descriptor_follow(session);
	trace_attach(session);
}

char *session_error(const struct session *session)
{
	const char *kept = session->error ? session->error : "";
	bool speaks = session->conn && (session->state == SESSION_OPEN || !session->error);
	const char *added = speaks ? REAL(PQerrorMessage)(session->conn) : "";
	struct text message = {0};

	if (!kept[0] && !added[0])
		return NULL;
	text_add(&message, "%s%s", kept, added);
	return message.bytes ? text_take(&message) : session_no_memory;
}

/*
 * Notifications and the last error that the program has not asked for yet. Its notice functions are
 * off the connection by now: reading may find a notice which one of them has left by longjmp.
 */
static void keep_client_state(struct session *session)
{
	PGnotify **last = &session->notifies;

	while (*last)
		last = &(*last)->next;
	while ((*last = REAL(PQnotifies)(session->conn)))
		last = &(*last)->next;
	session->client_encoding = REAL(PQclientEncoding)(session->conn);
	statuses_keep(&session->statuses, session->conn);
	session_set_error(session, session_error(session));
}

bool session_status(const struct session *session, const char *name, const char **value)
{
	const struct statuses *kept = __atomic_load_n(&session->statuses, __ATOMIC_ACQUIRE);

	if (!kept)
		kept = session->target->statuses;
	return session->state == SESSION_OPEN && statuses_find(kept, name, value);
}

/* When this returns, nobody else uses its connection, nor will. */
static void leave_connection(struct session *session)
{
	__atomic_store_n(&session->conn, session->dead, __ATOMIC_SEQ_CST);
	session->ready = false;
	cancel_forget(session);
}

struct backend *session_detach(struct session *session)
{
	struct backend *backend = session->backend;

	leave_connection(session);
	if (REAL(PQstatus)(backend->conn) == CONNECTION_OK)
		remove_client(session, backend);
	session->backend = NULL;
	trace_detach(session);
	descriptor_follow(session);
	return backend;
}

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

	count(&counts.exhausted, 1);
	trace_exhausted(session, holders, pool_holders(holders, MOST_HOLDERS));
}

/* A place for the session: NULL when it failed for want of one, or, if it may not wait, not yet. */
static struct backend *acquire(struct session *session, bool may_wait)
{
	char *error = NULL;
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
 * A backend could not be opened: the session has failed, unless that was for want of room while we
 * hold others. Then true: share what we have instead.
 */
static bool share_instead(struct session *session, struct backend *backend)
{
	PGconn *refused = backend->conn;

	if (!backend_refused_for_room(REAL(PQerrorMessage)(refused))) {
		fail_to_open(session, backend);
		return false;
	}
	backend->conn = NULL;
	if (!pool_refused(backend)) {
		session_fail(session, refused, NULL);
		return false;
	}
	REAL(PQfinish)(refused);
	return true;
}

static void connect_now(struct session *session, bool may_wait)
{
	struct backend *backend;

	while ((backend = acquire(session, may_wait))) {
		if (backend->conn || backend_open(backend, session->target)) {
			session_attach(session, backend);
			return;
		}
		if (!share_instead(session, backend))
			return;
	}
}

/*
 * A session that was open gets a backend again, or is lost: it must not fail as if it had never
 * been.
 */
static void attach_again(struct session *session, bool may_wait)
{
	connect_now(session, may_wait);
	if (session->state != SESSION_FAILED)
		return;
	struct text message = {0};
	const char *error = session->error ? session->error : REAL(PQerrorMessage)(session->dead);

	text_add(&message, "%s%s",
	    session->error ? ""
			   : "pqleash: this connection could not be "
			     "attached again: ",
	    error);
	session_lose(session, message.bytes ? message.bytes : session_no_memory);
	text_free(&message);
	session->never_connected = false;
}

/* ---- Calls ---- */

__thread uintptr_t session_thread;

void session_number_thread(void)
{
	static uintptr_t last;
	uintptr_t most = ((uintptr_t)1 << (64 - THREAD_SHIFT)) - 1;

	session_thread = (__atomic_fetch_add(&last, 1, __ATOMIC_RELAXED) % most + 1)
			 << THREAD_SHIFT;
}

/* This thread's own call goes on around us, or it was left by longjmp: then its mark is ours. */
static void enter_again(struct call *call, void *found)
{
	/* The stack grows down: a deeper frame is one that is no more. */
	if (session_frame_of(found) >= session_frame_of(call->mark))
		call->mark = NULL;
	else
		__atomic_store_n(&call->session->busy, call->mark, __ATOMIC_RELEASE);
}

/* Whether a call may look at the session while another thread's call is running on it. */
static bool may_visit(struct session *session, enum call_kind kind)
{
	return kind <= CALL_LOCAL ||
	       (kind == CALL_ASK && __atomic_load_n(&session->conn, __ATOMIC_RELAXED));
}

void session_enter_busy(struct call *call, enum call_kind kind)
{
	NO_CANCEL();
	struct session *session = call->session;
	int64_t until_ms = process_clock_ms() + OTHERS_CALL_MS;
	void *found = NULL;

	while (!__atomic_compare_exchange_n(
	    &session->busy, &found, call->mark, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
		if (found == SESSION_MOVING)
			pool_wait_until_moved(session);
		else if (found && ((uintptr_t)found ^ (uintptr_t)call->mark) >> THREAD_SHIFT == 0) {
			enter_again(call, found);
			return;
		} else if (may_visit(session, kind) || process_clock_ms() >= until_ms) {
			__atomic_add_fetch(&session->visitors, 1, __ATOMIC_SEQ_CST);
			call->visits = true;
			call->mark = NULL;
			return;
		} else
			sched_yield();
		found = NULL;
	}
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
	/* One that waits itself has nothing to tell; with one thread only, what holds still does. */
	if (holds &&
	    (process_has_threads() ||
		(session->backend && REAL(PQtransactionStatus)(session->conn) != PQTRANS_ACTIVE)))
		pool_wake();
}

/* Use after PQfinish: recorded, and the session goes on as a new one of the same target. */
static void revive(struct session *session)
{
	count(&counts.used_after_finish, 1);
	trace_used_after_finish(session);
	say_debug("a connection is used after PQfinish");
	if (session->state == SESSION_FREE || session->never_connected) {
		/* A free slot stays one. */
		play_dead(session, session->state == SESSION_FREE ? SESSION_FREE : SESSION_FAILED);
		return;
	}
	pthread_mutex_lock(&lock);
	session->state = SESSION_OPEN;
	session->owner = process_id();
	pthread_mutex_unlock(&lock);
	count_open(session, true);
}

/*
 * Others wait for a backend and this session has had its share: without this, a program that calls
 * again and again would never let go of one. It stands in line like the others.
 */
static bool yield(struct session *session)
{
	bool clean = session_is_clean(session);

	if (!session->backend || session->owner != process_id() ||
	    process_clock_ms() - session->attached_ms < SLICE_MS)
		return false;
	session->attached_ms = process_clock_ms();
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
	statement_sent(session, kept->query);
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

void session_prepare(struct session *session, enum call_kind kind)
{
	if (kind == CALL_OWN)
		return;
	NO_CANCEL();
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
		attach_again(session, may_wait);
		session->cancelled = kind == CALL_EXECUTE && session->backend &&
				     __atomic_load_n(&session->cancel_kept, __ATOMIC_SEQ_CST);
	}
	if (session->backend && session->kept)
		send_kept(session);
	else if (session->kept && session->state == SESSION_OPEN)
		pool_await(session);
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
	pool_await(session);
	return 1;
}

void session_try_attach(struct session *session)
{
	NO_CANCEL();
	if (session->state == SESSION_OPEN && !session->backend && !session->kept)
		attach_again(session, false);
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
	attach_again(session, true);
	return session->conn;
}

void session_return(struct session **lender)
{
	NO_CANCEL();
	if (*lender)
		pool_return(*lender);
}

/* ---- Open ---- */

static void opened(struct session *session)
{
	if (session->state != SESSION_OPEN)
		return;
	if (!session->counted_opened)
		count(&counts.opened, 1);
	session->counted_opened = true;
	count_open(session, true);
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
		connect_now(session, true);
	opened(session);
}

/* PQconnectStart, for a session with a target. */
static void start(struct session *session)
{
	struct backend *backend = acquire(session, false);

	if (!backend && session->state != SESSION_FAILED) {
		session->state = SESSION_STARTING;
		pool_await(session);
	}
	if (!backend)
		return;
	if (backend->conn)
		session_attach(session, backend);
	else if (backend_start(backend, session->target)) {
		session->state = SESSION_STARTING;
		session->owner = process_id();
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
static void start_first(struct session *session)
{
	if (pool_prospect(session->target) == POOL_HAS_ROOM)
		start(session);
	else {
		session->state = SESSION_STARTING;
		session->identity = session->target->identities;
		session->client_encoding = 0;
		descriptor_follow(session);
	}
	opened(session);
}

void session_start(struct session *session, struct target *target)
{
	NO_CANCEL();
	session->target = target;
	start_first(session);
}

/* libpq has said that the connect failed. */
static void start_failed(struct session *session)
{
	struct backend *backend = session->backend;

	session->backend = NULL;
	session->ready = false;
	if (share_instead(session, backend))
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
	opened(session);
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
		adopt_connection(session);
		cancel_renew(session);
		trace_attach(session);
	} else if (was_reset) /* a broken connection, which can be reset again */
		session->state = SESSION_OPEN;
	else
		start_failed(session);
	opened(session);
}

static PostgresPollingStatusType polling_status(const struct session *session)
{
	if (session->state == SESSION_STARTING)
		return session->backend ? PGRES_POLLING_WRITING : PGRES_POLLING_READING;
	bool good = session->state == SESSION_OPEN &&
		    (!session->conn || REAL(PQstatus)(session->conn) == CONNECTION_OK);
	return good ? PGRES_POLLING_OK : PGRES_POLLING_FAILED;
}

PostgresPollingStatusType session_poll(struct session *session)
{
	NO_CANCEL();
	PostgresPollingStatusType status;

	if (session->state == SESSION_STARTING && session->backend) {
		status = session->resetting ? REAL(PQresetPoll)(session->conn)
					    : REAL(PQconnectPoll)(session->conn);
		/* libpq may have gone on to the next address, and another socket. */
		descriptor_follow(session);
		if (status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED)
			return status;
		start_ended(session, status == PGRES_POLLING_OK);
	} else if (session->state == SESSION_STARTING)
		start_again(session);
	return polling_status(session);
}

/* ---- Park ---- */

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
	       !(HAS(PQpipelineStatus) && REAL(PQpipelineStatus)(session->conn) != 0);
}

bool session_is_clean(const struct session *session)
{
	return !session->dirty && !session->parked;
}

/* What lives in libpq's connection comes along. */
static void leave_client(struct session *session)
{
	remove_client(session, session->backend);
	keep_client_state(session);
}

/* It stays after all. The message that libpq still has is not kept as well. */
static void return_client(struct session *session)
{
	size_t left = strlen(REAL(PQerrorMessage)(session->conn));
	size_t kept = session->error ? strlen(session->error) : 0;

	session_apply_client(session, session->conn);
	if (kept > left && session->error != session_no_memory)
		session->error[kept - left] = '\0';
	else
		session_set_error(session, NULL);
}

bool session_park(struct session *session)
{
	struct snapshot *snapshot;

	if (!is_quiescent(session))
		return false;
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
	backend_examine(session->backend);
	session->pinned = find_pin(session);
	if (!session->pinned)
		session->pinned = snapshot_capture(session->backend, &snapshot);
	if (session->pinned) {
		return_client(session);
		return false;
	}
	snapshot_free(session->parked);
	session->parked = snapshot;
	return true;
}

/* ---- Finish and reset ---- */

/* Everything that a fresh connection would not have. */
static void forget_state(struct session *session)
{
	snapshot_free(session->parked);
	session->parked = NULL;
	free(session->statuses);
	session->statuses = NULL;
	session_set_error(session, NULL);
	for (PGnotify *next; session->notifies; session->notifies = next) {
		next = session->notifies->next;
		REAL(PQfreemem)(session->notifies);
	}
	if (session->dead)
		REAL(PQfinish)(session->dead);
	session->dead = NULL;
	session->conn = NULL;
	session->pinned = session->pinned_for_good = NULL;
	session->unnamed_statement = session->dirty = false;
	session->channels = 0;
	session->has_events = false;
	pool_stop_awaiting(session);
	command_free(session->kept);
	session->kept = NULL;
	session->client.nonblocking = false;
}

/*
 * Out of the quarantine for good: a use from now on is like any use of freed memory, but fails
 * softly.
 */
static void quarantine_leave(void)
{
	struct session *oldest = quarantine_first;

	quarantine_first = oldest->next;
	quarantined--;
	oldest->quarantined = false;
	/* Revived: it lives on, and comes back here when it is finished again. */
	if (oldest->state != SESSION_FINISHED) {
		oldest->next = NULL;
		return;
	}
	target_release(oldest->target);
	oldest->target = NULL;
	oldest->identity = NULL;
	oldest->state = SESSION_FREE;
	oldest->next = free_slots;
	free_slots = oldest;
}

static void quarantine_enter(struct session *session)
{
	pthread_mutex_lock(&lock);
	session->state = SESSION_FINISHED;
	if (!session->quarantined) {
		session->quarantined = true;
		session->next = NULL;
		if (quarantine_first)
			quarantine_last->next = session;
		else
			quarantine_first = session;
		quarantine_last = session;
		quarantined++;
	}
	while (quarantined > QUARANTINE)
		quarantine_leave();
	pthread_mutex_unlock(&lock);
}

/* The backend, unless it is the parent process's: that one is not the child's to end. */
static struct backend *detach_own(struct session *session)
{
	process_notice_fork();
	if (session->backend && session->owner == process_id())
		return session_detach(session);
	session->backend = NULL;
	return NULL;
}

/* Event procedures are told of the end while the connection can still be asked. */
static void close_attached(struct session *session)
{
	process_notice_fork();
	if (!session->backend || session->owner != process_id())
		return;
	cancel_forget(session);
	pool_give_up(session->backend);
	session->backend = NULL;
	session->conn = session->dead;
	session->ready = false;
}

/* Event procedures and their data belong to the real connection: it is reset, not replaced. */
static void reset_in_place(struct session *session, bool start_only)
{
	struct backend *backend = session->backend;

	cancel_forget(session);
	backend_disconnect(backend);
	if (start_only)
		session->resetting = REAL(PQresetStart)(session->conn) == 1;
	else
		REAL(PQreset)(session->conn);
	session->client.nonblocking = false;
	session->dirty = session->unnamed_statement = false;
	session->channels = 0;
	if (session->resetting)
		session->state = SESSION_STARTING;
	else
		cancel_renew(session);
	descriptor_follow(session);
}

void session_note_transaction(struct session *session)
{
	if (!session->backend || session->owner != process_id() || session->state != SESSION_OPEN)
		return;
	PGTransactionStatusType status = REAL(PQtransactionStatus)(session->conn);
	if (status != PQTRANS_INTRANS && status != PQTRANS_INERROR)
		return;
	count(&counts.in_transaction, 1);
	trace_transaction(session);
}

void session_finish(struct session *session)
{
	NO_CANCEL();
	if (session->state == SESSION_FINISHED || session->state == SESSION_FREE) {
		count(&counts.finished_twice, 1);
		trace_finished_twice(session);
		say_debug("PQfinish of a connection that is finished already: ignored");
		return;
	}
	bool clean = session_is_clean(session);
	session_note_transaction(session);
	trace_finish(session);
	if (session->has_events)
		close_attached(session);
	struct backend *backend = detach_own(session);
	if (backend)
		pool_release(backend, !clean);
	descriptor_end(session);
	forget_state(session);
	session->client = (struct client_settings){0};
	count_open(session, false);
	quarantine_enter(session);
}

void session_reset(struct session *session, bool start_only)
{
	NO_CANCEL();
	/* What libpq has refused to begin it refuses again, as a PQreset of its own does. */
	if (!session->target) {
		if (session->dead && !session->error)
			REAL(PQreset)(session->dead);
		return;
	}
	if (session->has_events && session->backend && session->owner == process_id()) {
		reset_in_place(session, start_only);
		return;
	}
	struct backend *backend = detach_own(session);
	if (backend)
		pool_give_up(backend);
	forget_state(session);
	descriptor_renew(session);
	if (start_only)
		start_first(session);
	else
		connect_now(session, true);
	opened(session);
}
