/*
 * The life of one session: made, attached, detached, lost, finished, reset. Owns the reserved address
 * range, the quarantine and the numbers. Called by the wrappers and the other files of a session.
 */
#include "session_parts.h"
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
#include "status.h"
#include "suite.h"
#include "trace.h"
#include "text.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MOST_SESSIONS ((size_t)1 << 20)
#define FEWEST_SESSIONS ((size_t)1 << 10)
#define SESSIONS_PER_GROWTH 256
#define QUARANTINE 1024

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

void session_count_one(size_t field)
{
	count((unsigned long *)((char *)&counts + field), 1);
}

/* Whether the program has it open: connected once, and not finished. */
void session_count_open(struct session *session, bool open)
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

void session_play_dead(struct session *session, enum session_state state)
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
	session_play_dead(session, SESSION_FAILED);
	trace_failed(session);
}

static void take_away(struct session *session, const char *message)
{
	/* The message has the prefix that the line gets. */
	int prefix = strncmp(message, "pqleash: ", 9) == 0 ? 9 : 0;

	say_debug("%.*s", (int)strcspn(message + prefix, "\n"), message + prefix);
	/* It may be the session's error already. */
	session_copy_error(session, message);
	session_play_dead(session, SESSION_LOST);
}

void session_lose(struct session *session, const char *message)
{
	SESSION_COUNT(lost);
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
		session_play_dead(session, SESSION_FAILED);
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

void session_remove_client(const struct session *session, struct backend *backend)
{
	backend_hush(backend);
	if (session->client.has_verbosity)
		REAL(PQsetErrorVerbosity)(backend->conn, PQERRORS_DEFAULT);
	if (session->client.has_context)
		REAL(PQsetErrorContextVisibility)(backend->conn, PQSHOW_CONTEXT_ERRORS);
}

void session_begin_share(struct session *session)
{
	/* The wait for the backend is over: to have waited long is not to be unused. */
	session_touch(session);
	__atomic_store_n(&session->attached_ms, process_clock_ms(), __ATOMIC_RELAXED);
	__atomic_store_n(&session->attached_by, session_thread, __ATOMIC_RELAXED);
}

void session_adopt_connection(struct session *session)
{
	session->identity = target_identify(session->target, session->conn);
	__atomic_store_n(&session->state, SESSION_OPEN, __ATOMIC_RELAXED);
	session->unguarded = false;
	session->ready = !session->error;
	session->never_connected = false;
	session->asked = UINT64_MAX;
	session->retry = (struct retry){0};
}

/* From now on it is this process's, whoever opened it. A PQcancel may be looking. */
void session_own(struct session *session)
{
	__atomic_store_n(&session->owner, process_id(), __ATOMIC_RELAXED);
}

/* error: NULL where there was no memory */
void session_lose_for(struct session *session, const char *what, const char *error)
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
bool session_restore(struct session *session, struct backend *backend, int *breaks)
{
	char *error = NULL;

	if (!session->parked || snapshot_restore(session->parked, backend, &error))
		return true;
	bool broke = REAL(PQstatus)(backend->conn) != CONNECTION_OK;
	pool_give_up(backend);
	if (!broke || --*breaks < 0)
		session_lose_for(session, "was moved, and ", error);
	free(error);
	return false;
}

void session_attach(struct session *session, struct backend *backend)
{
	session->backend = backend;
	session->away_until_ms = 0;
	__atomic_store_n(&session->conn, backend->conn, __ATOMIC_SEQ_CST);
	session_own(session);
	session->dirty = false;
	session_begin_share(session);
	session_apply_client(session, backend->conn);
	pool_hold(backend, session);
	session_adopt_connection(session);
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
void session_keep_client_state(struct session *session)
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
		session_remove_client(session, backend);
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
void session_use_inherited(struct session *session, enum call_kind kind)
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

/* ---- Finish and reset ---- */

/* Everything that a fresh connection would not have. */
static void forget_state(struct session *session)
{
	session_forget_snapshot(session);
	session->sets = session->may_set = false;
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
	SESSION_COUNT(in_transaction);
	trace_transaction(session);
}

void session_finish(struct session *session)
{
	NO_CANCEL();
	if (session->orphaned)
		drop_orphan(session);
	if (session->state == SESSION_FINISHED || session->state == SESSION_FREE) {
		SESSION_COUNT(finished_twice);
		trace_finished_twice(session);
		say_debug("PQfinish of a connection that is finished already: ignored");
		return;
	}
	bool clean = session_is_clean(session);
	session_note_transaction(session);
	/* Below, while the server is at work on the reset: it costs the program least there. */
	bool to_tell = session->told;
	session->told = false;
	if (session->backend && session->owner != process_id()) {
		trace_premature_finish(session);
		say_debug("PQfinish of a connection that is the parent's: it is left to it");
	}
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
	session_count_open(session, false);
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
		session_start_first(session);
	else
		session_connect_now(session);
	session_opened(session);
}
