/*
 * Sessions: what the program believes are connections. A session's address lies in one reserved
 * range, so that telling it from a backend is a subtraction and a comparison. See session.c and its parts.
 */
#ifndef SESSION_H
#define SESSION_H

#include "descriptor.h"
#include "fingerprint.h"
#include "libpq.h"
#include "refusal.h"
#include "target.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/single_threaded.h>
#include <sys/types.h>

struct backend;
struct snapshot;
struct statuses;

enum session_state {
	SESSION_FREE,     /* no session: what is left of one that was finished long ago */
	SESSION_STARTING, /* PQconnectStart or PQresetStart has begun; not at an end yet */
	SESSION_OPEN,     /* as the program wants it; attached, or parked, or not attached yet */
	SESSION_FAILED,   /* never connected; answers as libpq's failed connection does */
	SESSION_LOST,     /* its backend was reclaimed, or its state could not be put back */
	SESSION_FINISHED, /* in quarantine */
	SESSION_CANCEL,   /* no session: the program's PGcancel of one */
};

/* Settings that live in libpq's PGconn, which must follow the session from backend to backend. */
struct client_settings {
	PQnoticeReceiver receiver;
	void *receiver_argument;
	PQnoticeProcessor processor;
	void *processor_argument;
	PGVerbosity verbosity;
	PGContextVisibility context;
	bool nonblocking;
	bool has_receiver, has_processor, has_verbosity, has_context;
};

/* How long a session keeps its backend from call to call while others wait for one. */
#define SESSION_SLICE_MS 20

/* Bytes at the start of libpq's PGcancel, with the address, pid and key that it holds. */
#define CANCEL_IMAGE 160

struct session {
	union {
		struct {
			void *busy;   /* the mark of the call that runs; NULL; or SESSION_MOVING */
			PGconn *conn; /* for libpq: the backend's, or a dead connection */
			struct backend *backend; /* NULL while detached */
			uint64_t used;           /* when last used, in uses of any session */
			bool ready; /* attached and nothing special: calls go straight through */
			bool dirty; /* used since it was attached */
			int64_t attached_ms; /* when the present attachment, or its share, began */
			uintptr_t attached_by; /* the number of the thread that used it first */
		};
		/* Of a SESSION_CANCEL: ruby-pg looks for the pid and key in there. */
		char cancel_image[CANCEL_IMAGE];
	};
	struct session *next; /* in the free list or the quarantine */
	uint64_t life; /* how often the slot was used before; of a SESSION_CANCEL: cancel_of's */
	struct session *cancel_of; /* SESSION_CANCEL: whose */

	/* Who it is */
	struct target *target;
	const struct identity *identity;
	const char *suite; /* interned */
	void *opened_by;   /* return address in the program */
	int64_t opened_ms;

	/* What libpq's connection would know */
	struct client_settings client;
	char *error;  /* what PQerrorMessage says, when that is not libpq's to say */
	char *shown;  /* the copy of it that PQerrorMessage gave out */
	PGconn *dead; /* a real connection that is closed; gives libpq's own failure values */
	struct statuses *statuses; /* when it was parked last */
	struct statuses *given;    /* what PQparameterStatus gave out */
	PGnotify *notifies;        /* received before the session was parked */

	/* What keeps it from moving, and what moves with it */
	const char *pinned; /* what cannot move, as last seen; NULL for nothing */
	const char *pinned_for_good;
	const char *orphaned; /* why a forked child cannot go on with it; NULL for nothing */
	uint64_t sent;        /* `used` at the last call that may have changed the server's side */
	uint64_t asked;       /* `sent` when the server was last asked what it holds */
	struct snapshot *parked;     /* server-side state to put back; NULL for none */
	struct fingerprint captured; /* of `parked` */

	/* Cancelling, the descriptor, and the wait for a backend of programs that do not block */
	PGcancel *cancel; /* of the present backend; NULL unless the program has a PGcancel */
	dev_t descriptor_device;
	ino_t descriptor_inode;
	struct registration *registrations; /* of the descriptor with epoll */
	struct command *kept;               /* sent by the program, not yet to a backend */
	uint64_t awaiting_since;
	int64_t awaiting_until_ms;
	int64_t away_until_ms; /* the server is away, and waited for until then; else 0 */
	struct session *next_awaiting;
	struct retry retry; /* refused by the server while we held nothing to share */

	unsigned long number;       /* in the trace; 0 before it is told of */
	unsigned long told_backend; /* that it got when it was told of; 0 once it is attached */
	pid_t teller;               /* the process whose trace has it */

	enum session_state state;
	pid_t owner; /* the process that opened it */
	int client_encoding;
	int channels;        /* of LISTEN, as far as the statements tell */
	int visitors;        /* other threads' calls that are using `conn` or `cancel` now */
	int descriptor;      /* what PQsocket gave out; -1 for nothing yet */
	int rows_at_a_time;  /* for `kept`: 1 single-row mode, -n chunks of n rows */
	bool cancel_kept;    /* PQcancel came while there was no backend */
	bool cancelled;      /* ... and a statement waited for one */
	bool cancel_starved; /* there was no memory for `cancel` */
	bool wants_cancel;
	bool descriptor_waits; /* for a backend, see descriptor_await */
	bool descriptor_is_quiet;
	bool awaiting;          /* in the pool's line of sessions */
	bool called;            /* its turn has come: its descriptor was made readable */
	bool sets;              /* has sent a SET since it was captured */
	bool may_set;           /* has prepared one */
	bool unguarded;         /* may have lost PQLEASH_STATEMENT_TIMEOUT by a statement */
	bool changed_login;     /* by its last statement, or in the transaction that it has open */
	bool unnamed_statement; /* PQprepare(conn, "", ...) may still be executed */
	bool has_events;        /* event procedures are registered with its backend */
	bool resetting;         /* by libpq's own PQresetStart, for their sake */
	bool never_connected;   /* what was finished had failed */
	bool quarantined;       /* in that queue, even if it was revived since */
	bool suite_ended;
	bool counted_opened, counted_open;
	bool told; /* open, as far as the trace knows */
};

#define SESSION_MOVING ((void *)1)

/*
 * The mark of a call: its frame, and above the bits that addresses have, the number of its thread.
 */
#define THREAD_SHIFT 48
extern __thread uintptr_t session_thread
    __attribute__((visibility("hidden"), tls_model("initial-exec")));
void session_number_thread(void);

static inline void *session_mark(const void *frame)
{
	if (__builtin_expect(session_thread == 0, 0))
		session_number_thread();
	return (void *)((uintptr_t)frame | session_thread);
}

static inline uintptr_t session_frame_of(const void *mark)
{
	return (uintptr_t)mark & (((uintptr_t)1 << THREAD_SHIFT) - 1);
}

/* Whether its share of a backend, while others wait, is not over yet. Any thread. */
static inline bool session_has_time(const struct session *session, int64_t now_ms)
{
	return now_ms - __atomic_load_n(&session->attached_ms, __ATOMIC_RELAXED) < SESSION_SLICE_MS;
}

/* The reserved range: written once, before the first session is handed out. */
extern uintptr_t session_base __attribute__((visibility("hidden")));
extern uintptr_t session_span __attribute__((visibility("hidden")));

static inline bool is_session(const void *conn)
{
	return (uintptr_t)conn - session_base < session_span;
}

/* What a wrapper needs: see the kinds in libpq_table.h. */
enum call_kind {
	CALL_OWN,   /* nothing at all */
	CALL_STATE, /* no backend */
	CALL_LOCAL, /* a backend if one is to be had at once; else session_borrow */
	CALL_ASK,   /* a backend */
	CALL_POLL, /* a backend only for what is kept, if one is to be had at once; and the server */
	CALL_SEND,    /* a backend if one is to be had at once */
	CALL_USE,     /* a backend, whose state may change */
	CALL_EXECUTE, /* the same, for a statement that PQcancel may hit while it waits for that */
	CALL_ADD,     /* the same; the last error stays, with more added */
};

/* Two words, so that it lives in registers: see the cost of a wrapper in `make bench`. */
struct call {
	struct session *session;
	void *mark; /* NULL for a call inside another call on the same session; or SESSION_VISIT */
};

/* Another thread's call is running on the session: ours only looks at what is there. */
#define SESSION_VISIT ((void *)2)

static inline bool session_visits(const struct call *call)
{
	return call->mark == SESSION_VISIT;
}

struct call session_enter_busy(struct call call, enum call_kind kind);
void session_prepare(struct session *session, enum call_kind kind);
void session_left(struct session *session, bool holds);
/*
 * Threads and sessions that wait for a backend; or 1 for ever, when sessions are to be parked
 * always.
 */
extern int session_awaited __attribute__((visibility("hidden")));
extern uint64_t session_clock __attribute__((visibility("hidden")));

/*
 * With one thread only there is nobody to be atomic for; a row of a result in single-row mode takes
 * too little time for three locked instructions to go unnoticed. process_has_threads, inline.
 */
#define SESSION_ALONE() (__libc_single_threaded)

/* It is used now. */
static inline void session_touch(struct session *session)
{
	uint64_t now = SESSION_ALONE() ? ++session_clock
				       : __atomic_add_fetch(&session_clock, 1, __ATOMIC_RELAXED);

	__atomic_store_n(&session->used, now, __ATOMIC_RELAXED);
}

/* Mark it busy; false when it is. */
static inline bool session_try_mark(struct session *session, void *mark)
{
	void *found = NULL;

	if (!SESSION_ALONE())
		return __atomic_compare_exchange_n(
		    &session->busy, &found, mark, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
	if (__atomic_load_n(&session->busy, __ATOMIC_RELAXED))
		return false;
	__atomic_store_n(&session->busy, mark, __ATOMIC_RELAXED);
	return true;
}

/*
 * Who waits looks at `busy` after it has said so, we the other way round: neither may be late.
 */
static inline void session_unmark(struct session *session)
{
	if (SESSION_ALONE())
		__atomic_store_n(&session->busy, NULL, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&session->busy, NULL, __ATOMIC_SEQ_CST);
}

/*
 * Every call on a session begins here: marks it busy, so that nobody parks it, and attaches it
 * where the kind of call needs a backend. Takes no lock while the session is attached. Afterwards
 * session->conn is what to call libpq with; it is never NULL except for CALL_OWN and CALL_STATE on
 * a detached session.
 */
static inline __attribute__((always_inline)) struct call session_enter(
    const PGconn *conn, void *frame, enum call_kind kind)
{
	struct call call = {.session = (struct session *)conn, .mark = session_mark(frame)};
	struct session *session = call.session;

	if (__builtin_expect(!session_try_mark(session, call.mark), 0)) {
		call = session_enter_busy(call, kind);
		if (session_visits(&call))
			return call;
	}
	session_touch(session);
	if (__builtin_expect(!session->ready ||
				 (__atomic_load_n(&session_awaited, __ATOMIC_RELAXED) && call.mark),
		0))
		session_prepare(session, kind);
	if (kind >= CALL_SEND) {
		session->dirty = true;
		session->sent = session->used;
	}
	if (kind >= CALL_POLL && session->descriptor >= 0)
		descriptor_check(session);
	return call;
}

static inline void session_end_visit(struct call *call)
{
	if (session_visits(call)) {
		__atomic_sub_fetch(&call->session->visitors, 1, __ATOMIC_SEQ_CST);
		call->mark = NULL;
	}
}

/*
 * The end of a call. Skipped when the call is left by longjmp: the next call then takes the mark
 * over.
 */
static inline __attribute__((always_inline)) void session_leave(struct call *call)
{
	struct session *session = call->session;

	if (__builtin_expect((uintptr_t)call->mark <= (uintptr_t)SESSION_VISIT, 0)) {
		session_end_visit(call);
		return;
	}
	/* A call that took long has not left the session unused all the while. */
	if (__builtin_expect(__atomic_load_n(&session_awaited, __ATOMIC_RELAXED), 0))
		session_touch(session);
	bool holds = session->backend != NULL;
	session_unmark(session);
	if (__builtin_expect(__atomic_load_n(&session_awaited, __ATOMIC_SEQ_CST), 0))
		session_left(session, holds);
}

/*
 * Whether a call that calls nobody back needs no mark at all: there is one thread, and nobody waits
 * for a backend. Programs ask some things all the time, and fetch rows one by one.
 */
static inline __attribute__((always_inline)) bool session_is_plain(struct session *session)
{
	if (!SESSION_ALONE() || !session->ready ||
	    __atomic_load_n(&session_awaited, __ATOMIC_RELAXED))
		return false;
	session_touch(session);
	return true;
}

/* Declares `session`, entered for the rest of the scope. */
#define SESSION_CALL(conn_, kind_) \
	struct call call_ __attribute__((cleanup(session_leave))) = \
	    session_enter(conn_, __builtin_frame_address(0), kind_); \
	struct session *const session __attribute__((unused)) = call_.session

/* The first line of a wrapper: what is not a session goes straight through. */
#define PASS_THROUGH(name, arguments) \
	if (__builtin_expect(!is_session(conn), 0)) \
	return REAL(name) arguments

/* REAL, in a wrapper that has a session: where there is one, libpq has been found. */
#define KNOWN(name) (libpq_real.name)

/*
 * Whether a call that makes a connection makes a session. Not when the object is off, nor when
 * libpq itself is the caller: PQconnectdb and PQping call PQconnectStart through the PLT. caller
 * where the wrapper returns to
 */
bool session_leashed(const void *caller);

/* A new session, entered by nobody; NULL when there is no room for one more. */
struct session *session_new(void *opened_by);

/*
 * Connect: attach a new session, now or, when the pool is full and its target known good, at its
 * first use.
 */
void session_open(struct session *session, struct target *target);

/* The same without blocking: PQconnectStart. */
void session_start(struct session *session, struct target *target);
PostgresPollingStatusType session_poll(struct session *session);

/*
 * Make it what libpq's own failed connection is; conn may be NULL, with the message in error (taken
 * over).
 */
void session_fail(struct session *session, PGconn *conn, char *error);

/*
 * The server has ended its backend: the session keeps the broken connection, the pool gets the
 * place.
 */
void session_keep_broken(struct session *session);

/*
 * Its state cannot be kept: every use from now on fails with this message (copied), until PQreset.
 */
void session_lose(struct session *session, const char *message);

/* The process exits: the same, but not counted as a loss. */
void session_exit(struct session *session);

/* A statement is sent that may take our statement_timeout off: look before the next one. */
void session_unguard(struct session *session);

/*
 * PQprepare's unnamed statement is in no catalog: a session that may still execute one cannot move.
 * PQexec and PQexecParams overwrite it; preparing one that has a name does not.
 */
static inline void session_note_prepared(struct session *session, const char *statement)
{
	if (!statement || !statement[0])
		session->unnamed_statement = true;
}

/* Attach an open session if that needs no waiting. */
void session_try_attach(struct session *session);

/*
 * A connection to call libpq with for what it answers alone, from its encoding: the session's, or
 * one of another session, which *lender keeps still until session_return. libpq never waits there,
 * and a program may hold a lock that the others need to go on (Python's and Ruby's is one).
 */
PGconn *session_borrow(struct call *call, struct session **lender);
void session_return(struct session **lender);

/* What PQtransactionStatus says of a session without a backend. */
static inline PGTransactionStatusType session_transaction_status(const struct session *session)
{
	if (session->state == SESSION_STARTING)
		return PQTRANS_UNKNOWN;
	return session->kept ? PQTRANS_ACTIVE : PQTRANS_IDLE;
}

/* Keep a command until there is a backend for it. Returns as PQsendQuery does. */
struct command;
int session_postpone(struct session *session, const struct command *command);

void session_finish(struct session *session);

/* PQreset, and PQresetStart when start_only. */
void session_reset(struct session *session, bool start_only);

/* Take the backend away from the session: what is on the server is the caller's to deal with. */
struct backend *session_detach(struct session *session);

/* It cannot move any more, and its backend will be nobody else's; why is a literal. */
void session_pin(struct session *session, const char *why);

/* Whether its backend is as a new connection would be. */
bool session_is_clean(const struct session *session);

/* Whether its server-side state can be captured and moved, asking the server where needed. */
bool session_park(struct session *session);

/*
 * Whether the backend that a forked child has inherited with it serves another session by now. If
 * not, the child uses it from now on. Async-signal-safe.
 */
bool session_was_moved(struct session *session);
/* The call that was about to move it was left by longjmp: it stays as it was, if it is attached. */
void session_stay(struct session *session);

/* Remember a message for PQerrorMessage (takes it over); NULL forgets. */
void session_set_error(struct session *session, char *message);

/* The same with a copy; where there is no memory for it that is the message. */
void session_copy_error(struct session *session, const char *message);

/* What the server has reported of an open session without a backend; false where that is not known. */
bool session_has_status(const struct session *session, const char *name, const char *value);
bool session_give_status(struct session *session, const char *name, const char **value);

/* libpq's words, where there is no memory for others: never freed. */
extern char session_no_memory[] __attribute__((visibility("hidden")));

/*
 * What PQerrorMessage is to say, to be taken over by session_set_error, or given to text_wipe if it
 * is not session_no_memory; NULL for nothing.
 */
char *session_error(const struct session *session);

/* A call begins that forgets the last error as libpq's does, unless that error is there to stay. */
static inline void session_forget_error(struct session *session)
{
	if (session->error && session->state == SESSION_OPEN)
		session_set_error(session, NULL);
}

/* A session's name in messages: suite, place in the program and age. Returns buffer. */
char *session_describe(const struct session *session, char *buffer, size_t size);

/* Put the session's client-side settings on a connection. */
void session_apply_client(const struct session *session, PGconn *conn);

/* An empty slot of the range, for a session or a cancel object; NULL when there is none left. */
struct session *session_slot(void);
void session_slot_free(struct session *slot);

/* Numbers for the program and for the line at exit. */
struct session_counts {
	unsigned long opened, open, used_after_finish, finished_twice, lost;
	unsigned long in_transaction; /* when they were finished, or closed at exit */
	unsigned long exhausted;      /* waits for a backend that were in vain */
};
struct session_counts session_count(void);

/* It is about to end: tell if it is in a transaction. */
void session_note_transaction(struct session *session);

/*
 * In a child after fork, with all locks taken: what was opened before is the parent's to tell of, and
 * calls of threads that are not in this process have left it in the middle.
 */
void session_forget_inherited(void);

/* Mark the sessions of a suite as left over. */
void session_suite_ended(const char *suite);

#endif
