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
#include "lock.h"
#include "park.h"
#include "pool.h"
#include "process.h"
#include "say.h"
#include "settings.h"
#include "share.h"
#include "statement.h"
#include "status.h"
#include "suite.h"
#include "trace.h"
#include "text.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
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

/* How long a call waits for another thread's call on the same session, which libpq forbids it to. */
#define OTHERS_CALL_MS 1000

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

uintptr_t session_base, session_span;
uint64_t session_clock;
int session_awaited;

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

	lock_take(LOCK_SESSIONS);
	if (free_slots) {
		slot = free_slots;
		free_slots = slot->next;
	} else if (slots_used < slots_usable || grow())
		slot = (struct session *)session_base + slots_used++;
	lock_release(LOCK_SESSIONS);
	if (!slot)
		return NULL;
	uint64_t life = slot->life + 1;
	if (slot->dead)
		REAL(PQfinish)(slot->dead);
	text_wipe(slot->shown);
	statuses_free(slot->statuses);
	statuses_free(slot->given);
	*slot = (struct session){.life = life, .descriptor = -1};
	return slot;
}

void session_slot_free(struct session *slot)
{
	lock_take(LOCK_SESSIONS);
	slot->state = SESSION_FREE;
	slot->next = free_slots;
	free_slots = slot;
	lock_release(LOCK_SESSIONS);
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

/* Whether it is the mark of a call of another thread. */
static bool is_of_another(const void *mark)
{
	return mark == SESSION_MOVING ||
	       (mark && ((uintptr_t)mark ^ session_thread) >> THREAD_SHIFT != 0);
}

static void inherit(struct session *session)
{
	if (is_of_another(session->busy))
		session->orphaned = "pqleash: another thread was using this connection when this "
				    "process was forked\n";
	else if (session->kept)
		session->orphaned = "pqleash: a statement of this connection waits for a backend "
				    "in the process that this one was forked from\n";
	if (session->orphaned)
		session->busy = NULL;
	session->visitors = 0;
	session->awaiting = session->called = session->descriptor_waits = false;
	session->counted_open = false;
	/* Each call is looked at: the parent may take the backend away. */
	session->ready = false;
}

void session_forget_inherited(void)
{
	counts = (struct session_counts){0};
	for (size_t i = 0; i < slots_used; i++) {
		struct session *session = (struct session *)session_base + i;

		if (session->state != SESSION_FREE && session->state != SESSION_CANCEL)
			inherit(session);
	}
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
	session_touch(session);
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
	lock_take(LOCK_SESSIONS);
	for (size_t i = 0; i < slots_used; i++) {
		struct session *session = (struct session *)session_base + i;

		if (session->suite == suite)
			session->suite_ended = true;
	}
	lock_release(LOCK_SESSIONS);
}

/* ---- What the program sees of failures ---- */

/* libpq's words, where there is no memory for others. */
char session_no_memory[] = "out of memory\n";

void session_set_error(struct session *session, char *message)
{
	if (session->error != session_no_memory)
		text_wipe(session->error);
	session->error = message;
	session->ready =
	    session->backend && !message && !session->unguarded && session->owner == process_id();
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
	__atomic_store_n(&session->state, state, __ATOMIC_RELAXED);
	if (!session->dead)
		session->dead = make_dead_connection();
	if (!session->backend)
		__atomic_store_n(&session->conn, session->dead, __ATOMIC_SEQ_CST);
	session->ready = false;
}

void session_fail(struct session *session, PGconn *conn, char *error)
{
	session->dead = conn;
	session->retry = (struct retry){0};
	session_set_error(session, conn || error ? error : session_no_memory);
	session->never_connected = true;
	play_dead(session, SESSION_FAILED);
	trace_failed(session);
}

static void take_away(struct session *session, const char *message)
{
	/* The message has the prefix that the line gets. */
	int prefix = strncmp(message, "pqleash: ", 9) == 0 ? 9 : 0;

	say_debug("%.*s", (int)strcspn(message + prefix, "\n"), message + prefix);
	/* It may be the session's error already. */
	session_copy_error(session, message);
	play_dead(session, SESSION_LOST);
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
	bool usable = backend_has_socket(session->backend);

	if (usable)
		session->dead = session->conn;
	session->backend->conn = NULL;
	session->backend = NULL;
	trace_detach(session);
	cancel_forget(session);
	if (usable)
		play_dead(session, SESSION_FAILED);
	else
		session_lose(session, "pqleash: the program has closed this connection's socket\n");
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
	REAL(PQsetnonblocking)(conn, client->nonblocking);
}

static void remove_client(const struct session *session, struct backend *backend)
{
	backend_hush(backend);
	if (session->client.has_verbosity)
		REAL(PQsetErrorVerbosity)(backend->conn, PQERRORS_DEFAULT);
	if (session->client.has_context)
		REAL(PQsetErrorContextVisibility)(backend->conn, PQSHOW_CONTEXT_ERRORS);
}

static void begin_share(struct session *session)
{
	/* The wait for the backend is over: to have waited long is not to be unused. */
	session_touch(session);
	__atomic_store_n(&session->attached_ms, process_clock_ms(), __ATOMIC_RELAXED);
	__atomic_store_n(&session->attached_by, session_thread, __ATOMIC_RELAXED);
}

static void adopt_connection(struct session *session)
{
	session->identity = target_identify(session->target, session->conn);
	__atomic_store_n(&session->state, SESSION_OPEN, __ATOMIC_RELAXED);
	session->unguarded = false;
	session->ready = !session->error;
	session->never_connected = false;
	session->retry = (struct retry){0};
}

/* From now on it is this process's, whoever opened it. A PQcancel may be looking. */
static void own(struct session *session)
{
	__atomic_store_n(&session->owner, process_id(), __ATOMIC_RELAXED);
}

/* error: NULL where there was no memory */
static void lose_for(struct session *session, const char *what, const char *error)
{
	struct text message = {0};

	if (error)
		text_add(&message, "pqleash: this connection %s%s", what, error);
	session_lose(session, message.bytes ? message.bytes : session_no_memory);
	text_free(&message);
}

/*
 * Put the session's state on a backend that it may have. On failure the backend is gone, and the
 * session is lost: unless *breaks, how often the connection may still break under us, is not used
 * up. That is no refusal, and nothing of the program's was under way.
 */
static bool restore(struct session *session, struct backend *backend, int *breaks)
{
	char *error = NULL;

	if (!session->parked || snapshot_restore(session->parked, backend, &error))
		return true;
	bool broke = REAL(PQstatus)(backend->conn) != CONNECTION_OK;
	pool_give_up(backend);
	if (!broke || --*breaks < 0)
		lose_for(session, "was moved, and ", error);
	free(error);
	return false;
}

static void session_attach(struct session *session, struct backend *backend)
{
	session->backend = backend;
	session->away_until_ms = 0;
	__atomic_store_n(&session->conn, backend->conn, __ATOMIC_SEQ_CST);
	own(session);
	session->dirty = false;
	begin_share(session);
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

static const struct statuses *kept_statuses(const struct session *session)
{
	const struct statuses *kept = __atomic_load_n(&session->statuses, __ATOMIC_ACQUIRE);

	return kept ? kept : session->target->statuses;
}

bool session_has_status(const struct session *session, const char *name, const char *value)
{
	return session->state == SESSION_OPEN && statuses_have(kept_statuses(session), name, value);
}

bool session_give_status(struct session *session, const char *name, const char **value)
{
	return session->state == SESSION_OPEN &&
	       statuses_give(&session->given, kept_statuses(session), name, value);
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

	if (share_end(backend->share))
		backend->unshared = true;
	leave_connection(session);
	if (REAL(PQstatus)(backend->conn) == CONNECTION_OK)
		remove_client(session, backend);
	session->backend = NULL;
	trace_detach(session);
	descriptor_follow(session);
	return backend;
}

/* ---- In a forked child ---- */

/* What the interrupted call was about to free or to change is left as it is. */
static void drop_orphan(struct session *session)
{
	session->orphaned = NULL;
	session->error = session->shown = NULL;
	session->conn = session->dead = NULL;
	session->backend = NULL;
	session->cancel = NULL;
	session->statuses = NULL;
	session->notifies = NULL;
	session->parked = NULL;
	session->kept = NULL;
	session->has_events = session->resetting = false;
}

/* The backend is the parent's, and stays so. */
static void leave_inherited(struct session *session)
{
	backend_abandon(session->backend);
	leave_connection(session);
	session->backend = NULL;
	descriptor_follow(session);
}

bool session_was_moved(struct session *session)
{
	return __atomic_load_n(&session->owner, __ATOMIC_RELAXED) != process_id() &&
	       (session->orphaned || (session->backend && !share_use(session->backend->share)));
}

/* A call on a session that was inherited. Where nothing was changed on it, any backend will do. */
static void use_inherited(struct session *session, enum call_kind kind)
{
	const char *orphaned = session->orphaned;

	process_notice_fork();
	if (orphaned) {
		drop_orphan(session);
		session_lose(session, orphaned);
	}
	if (session->state != SESSION_OPEN || kind < CALL_POLL || !session_was_moved(session))
		return;
	leave_inherited(session);
	if (session->dirty || session->pinned_for_good)
		session_lose(session,
		    "pqleash: the process that this one was forked from has given the backend of "
		    "this connection to another one; raise PQLEASH_LIMIT\n");
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
static void await(struct session *session)
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

/* There is no server to connect to just now; one that refuses is there. */
static bool is_away(const struct backend *backend)
{
	return !backend->refused && backend_found_no_server(backend);
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

static void connect_now(struct session *session)
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
			if (!restore(session, backend, &breaks))
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
static void attach_again(struct session *session, bool may_wait)
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
		lose_for(session, "could not be attached again: ", REAL(PQerrorMessage)(failed));
	REAL(PQfinish)(failed);
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
	 * more, who waits looks by itself until the share is over.
	 */
	if (!holds)
		return;
	if (process_has_threads()
		? !session_has_time(session, process_clock_ms())
		: session->backend && REAL(PQtransactionStatus)(session->conn) != PQTRANS_ACTIVE)
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
	lock_take(LOCK_SESSIONS);
	session->state = SESSION_OPEN;
	own(session);
	lock_release(LOCK_SESSIONS);
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
	    session_has_time(session, process_clock_ms()))
		return false;
	begin_share(session);
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

/* Event procedures are told of every result, and a trace of every message: of ours too. */
static bool would_see_ours(const struct session *session)
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
	if (would_see_ours(session) || REAL(PQtransactionStatus)(session->conn) != PQTRANS_IDLE ||
	    session->channels > 0 ||
	    (HAS(PQpipelineStatus) && REAL(PQpipelineStatus)(session->conn) != 0))
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
		use_inherited(session, kind);
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
	if (session->unguarded && session->backend && kind >= CALL_SEND)
		guard_again(session);
	if (session->backend && session->kept)
		send_kept(session);
	else if (session->kept && session->state == SESSION_OPEN)
		await(session);
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
	await(session);
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
		connect_now(session);
	opened(session);
}

/* PQconnectStart, for a session with a target. */
static void start(struct session *session)
{
	struct backend *backend = acquire(session, false);

	if (!backend && session->state != SESSION_FAILED) {
		session->state = SESSION_STARTING;
		await(session);
	}
	if (!backend)
		return;
	if (backend->conn)
		session_attach(session, backend);
	else if (backend_start(backend, session->target)) {
		session->state = SESSION_STARTING;
		own(session);
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

	if (!backend->asking && (would_see_ours(session) ||
				    (pool_count() <= 1 && settings()->statement_timeout_ms == 0) ||
				    !backend_examine_begin(backend)))
		return false;
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

static void forget_snapshot(struct session *session)
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

	if (session->sets || backend_is_older(backend) || backend->default_role ||
	    custom_overflowed())
		return false;
	if (!fingerprint_is_fresh(&backend->blank) && !fingerprint_is_fresh(&session->captured))
		return false;
	if (!fingerprint_take(&now, backend))
		return false;
	if (fingerprint_matches(&now, &session->captured))
		return true;
	if (!fingerprint_matches(&now, &backend->blank))
		return false;
	forget_snapshot(session);
	return true;
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
	forget_snapshot(session);
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
	for (PGresult *rest; (rest = REAL(PQgetResult)(session->conn));)
		REAL(PQclear)(rest);
	session_apply_client(session, session->conn);
	session->asked = 0;
}

/* ---- Finish and reset ---- */

/* Everything that a fresh connection would not have. */
static void forget_state(struct session *session)
{
	forget_snapshot(session);
	session->sets = false;
	statuses_free(session->statuses);
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
	session->unnamed_statement = session->dirty = session->unguarded = false;
	session->changed_login = false;
	session->channels = 0;
	session->has_events = false;
	session->away_until_ms = 0;
	pool_stop_awaiting(session);
	session->retry = (struct retry){0};
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
	lock_take(LOCK_SESSIONS);
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
	lock_release(LOCK_SESSIONS);
}

/* The backend, unless it is the parent process's: that one is not the child's to end. */
static struct backend *detach_own(struct session *session)
{
	process_notice_fork();
	if (session->backend && session->owner == process_id())
		return session_detach(session);
	if (session->backend)
		leave_inherited(session);
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
	if (!session->resetting && REAL(PQstatus)(session->conn) == CONNECTION_OK)
		backend_started(backend);
	session->client.nonblocking = false;
	session->dirty = session->unnamed_statement = session->unguarded = false;
	session->channels = 0;
	if (session->resetting)
		session->state = SESSION_STARTING;
	else
		cancel_renew(session);
	descriptor_renew(session);
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
	if (session->orphaned)
		drop_orphan(session);
	if (session->state == SESSION_FINISHED || session->state == SESSION_FREE) {
		count(&counts.finished_twice, 1);
		trace_finished_twice(session);
		say_debug("PQfinish of a connection that is finished already: ignored");
		return;
	}
	bool clean = session_is_clean(session);
	session_note_transaction(session);
	/* Below, while the server is at work on the reset: it costs the program least there. */
	bool to_tell = session->told;
	session->told = false;
	if (session->has_events)
		close_attached(session);
	struct backend *backend = detach_own(session);
	if (backend)
		pool_release(backend, !clean);
	if (to_tell)
		trace_finish(session);
	descriptor_end(session);
	forget_state(session);
	session->client = (struct client_settings){0};
	count_open(session, false);
	quarantine_enter(session);
}

void session_reset(struct session *session, bool start_only)
{
	NO_CANCEL();
	if (session->orphaned)
		drop_orphan(session);
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
		connect_now(session);
	opened(session);
}
