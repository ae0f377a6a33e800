/*
 * The life of one backend: opened, examined, reset, settled, closed. Called by the pool and by
 * sessions that were given a place in it; decides nothing about who gets which, and knows nothing
 * of sessions' state.
 */
#include "backend.h"
#include "lock.h"
#include "openssl.h"
#include "pool.h"
#include "process.h"
#include "refusal.h"
#include "say.h"
#include "settings.h"
#include "statement.h"
#include "text.h"
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct backend_defaults defaults;

const struct backend_defaults *backend_defaults(void)
{
	return &defaults;
}

static void ignore_notice(void *argument, const PGresult *notice)
{
	(void)argument;
	(void)notice;
}

void backend_hush(struct backend *backend)
{
	REAL(PQsetNoticeReceiver)(backend->conn, ignore_notice, NULL);
}

void backend_talk(struct backend *backend)
{
	backend_hush(backend);
	REAL(PQsetnonblocking)(backend->conn, 1);
}

/* From here on libpq sees a connection that the server has closed. */
static void break_connection(struct backend *backend)
{
	shutdown(REAL(PQsocket)(backend->conn), SHUT_RDWR);
	REAL(PQconsumeInput)(backend->conn);
}

/* How long an answer is looked out for before we sleep until it comes. */
#define LOOK_OUT_US 200

static bool has_other_processors(void)
{
	static int processors;
	int known = __atomic_load_n(&processors, __ATOMIC_RELAXED);
	cpu_set_t ours;

	if (known == 0) {
		known = sched_getaffinity(0, sizeof ours, &ours) == 0 ? CPU_COUNT(&ours) : 1;
		__atomic_store_n(&processors, known, __ATOMIC_RELAXED);
	}
	return known > 1;
}

/*
 * Most of our questions are answered sooner than a processor that has gone to sleep is woken. As poll
 * with no timeout; 0 where the answer takes longer.
 */
static int look_out(struct pollfd *wanted)
{
	int64_t until_us = process_clock_us() + LOOK_OUT_US;
	int ready;

	do
		ready = poll(wanted, 1, 0);
	while (ready == 0 && has_other_processors() && process_clock_us() < until_us);
	return ready;
}

bool backend_wait_for_result(PGconn *conn, int64_t deadline_ms)
{
	int flushed;

	while ((flushed = REAL(PQflush)(conn)) == 1 || (flushed == 0 && REAL(PQisBusy)(conn))) {
		struct pollfd wanted = {.fd = REAL(PQsocket)(conn),
		    .events = (short)(POLLIN | (flushed == 1 ? POLLOUT : 0))};

		if (wanted.fd < 0)
			return true; /* libpq has to say what is wrong */
		/* What is there counts, also where we were stopped until after the deadline. */
		int ready = look_out(&wanted);
		int64_t left = deadline_ms - process_clock_ms();
		if (ready == 0 && left <= 0)
			return false;
		if (ready == 0)
			ready = poll(&wanted, 1, left < INT_MAX ? (int)left : INT_MAX);
		if (ready > 0 && !REAL(PQconsumeInput)(conn))
			return true;
	}
	return true;
}

/* No answer of ours: libpq repeats it until the copying is over. */
static bool is_copy(const PGresult *answer)
{
	ExecStatusType status = REAL(PQresultStatus)(answer);

	return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

PGresult *backend_next_result(struct backend *backend)
{
	long timeout_ms = settings()->connect_timeout_ms;

	if (!backend_wait_for_result(backend->conn, process_clock_ms() + timeout_ms)) {
		say("%s has not answered for %ld ms: a connection is given up",
		    backend->target->label, timeout_ms);
		break_connection(backend);
	}
	PGresult *result = REAL(PQgetResult)(backend->conn);
	/* Nothing of ours copies: libpq would give this result for ever. */
	if (is_copy(result))
		break_connection(backend);
	return result;
}

PGresult *backend_answer(struct backend *backend, int sent)
{
	PGresult *last = NULL, *next;

	while (sent && (next = backend_next_result(backend))) {
		REAL(PQclear)(last);
		last = next;
		if (REAL(PQstatus)(backend->conn) != CONNECTION_OK)
			break;
	}
	return last;
}

PGresult *backend_query(struct backend *backend, const char *query)
{
	backend_talk(backend);
	return backend_answer(backend, REAL(PQsendQuery)(backend->conn, query));
}

bool backend_has_hung_up(const struct backend *backend)
{
	struct pollfd wanted = {.fd = REAL(PQsocket)(backend->conn), .events = POLLRDHUP};

	return wanted.fd < 0 || poll(&wanted, 1, 0) > 0;
}

/* libpq's own functions, which the first caller of PQsetNoticeReceiver expects as the old ones. */
static void learn_defaults(PGconn *conn)
{

	lock_take(LOCK_DEFAULTS);
	if (!defaults.receiver) {
		defaults.processor = REAL(PQsetNoticeProcessor)(conn, NULL, NULL);
		defaults.receiver = REAL(PQsetNoticeReceiver)(conn, NULL, NULL);
	}
	lock_release(LOCK_DEFAULTS);
}

/* Whether it has the columns that were asked for: a server may answer anything. */
static bool is_answer(const PGresult *result, int columns)
{
	return REAL(PQresultStatus)(result) == PGRES_TUPLES_OK &&
	       REAL(PQnfields)(result) == columns;
}

/* PostgreSQL 14 and later tell whether transactions are read-only by default, "on" or "off". */
static bool tells_read_only(const struct backend *backend, const char *expected)
{
	const char *value = REAL(PQparameterStatus)(backend->conn, "default_transaction_read_only");

	return value && strcmp(value, expected) == 0;
}

bool backend_may_wait(const struct backend *backend)
{
	return !tells_read_only(backend, "off");
}

const char *backend_isolation(const struct backend *backend)
{
	return backend_may_wait(backend) ? "SET LOCAL TRANSACTION ISOLATION LEVEL READ COMMITTED; "
					 : "";
}

/*
 * What has to be asked once of every connection: whether its role has a default role (DISCARD ALL
 * does not give that back), and which custom settings the database's functions may set behind our
 * back.
 */
static const char examine_query[] =
    "SELECT 'role' FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) AS "
    "c "
    "WHERE c OPERATOR(pg_catalog.~~) 'role=%' "
    "AND s.setdatabase OPERATOR(pg_catalog.=) ANY (ARRAY[0::pg_catalog.oid, (SELECT d.oid "
    "FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) "
    "pg_catalog.current_database())]) "
    "AND s.setrole OPERATOR(pg_catalog.=) ANY (ARRAY[0::pg_catalog.oid, (SELECT r.oid FROM "
    "pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) session_user)]) "
    "UNION ALL SELECT 'SET ' OPERATOR(pg_catalog.||) pg_catalog.split_part(c, '=', 1) "
    "FROM pg_catalog.pg_proc p, pg_catalog.unnest(p.proconfig) AS c "
    "WHERE p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid "
    "UNION ALL SELECT p.prosrc FROM pg_catalog.pg_proc p "
    "WHERE p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid "
    "AND p.prosrc OPERATOR(pg_catalog.~*) 'set_config|(^|[^a-z_])set[^a-z_]'; ";

/* One row: which server process answers, since when; the guard, where one was needed. */
static const char process_query[] =
    "SELECT pg_catalog.pg_backend_pid(), (SELECT pg_catalog.date_part('epoch', a.backend_start) "
    "FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) AS a), ";

/*
 * PQLEASH_STATEMENT_TIMEOUT guards a session that has no statement_timeout, unless somebody wants
 * it so: the program, by SET or as it connects, or who set up the login or the database.
 */
static const char guard_query[] =
    "(SELECT pg_catalog.set_config(name, '%ld', false) FROM pg_catalog.pg_settings "
    "WHERE name OPERATOR(pg_catalog.=) 'statement_timeout' "
    "AND setting OPERATOR(pg_catalog.=) '0' AND source OPERATOR(pg_catalog.=) ANY "
    "('{default,\"configuration file\",\"environment variable\",\"command line\"}'"
    "::pg_catalog.text[]))";

enum process_column { PID, START, GUARD, FIRST_CUSTOM };

/* Further columns may follow. */
static void add_process_query(struct text *query)
{
	text_add(query, "%s", process_query);
	if (settings()->statement_timeout_ms > 0)
		text_add(query, guard_query, settings()->statement_timeout_ms);
	else
		text_add(query, "NULL");
}

static void note_process(struct backend *backend, const PGresult *row)
{
	if (REAL(PQntuples)(row) != 1 || REAL(PQnfields)(row) < FIRST_CUSTOM)
		return;
	const char *guard = REAL(PQgetvalue)(row, 0, GUARD);
	if (guard[0])
		snprintf(backend->guard, sizeof backend->guard, "%s", guard);
	backend_note_process(
	    backend, REAL(PQgetvalue)(row, 0, PID), REAL(PQgetvalue)(row, 0, START));
}

void backend_note_process(struct backend *backend, const char *pid, const char *start)
{
	if (!pool_note_process(backend, atoi(pid), start) ||
	    __atomic_exchange_n(&backend->target->told_pooler, true, __ATOMIC_RELAXED))
		return;
	say("%s: one server process serves several connections, as behind a pooler in transaction "
	    "mode; without PQLEASH_PGBOUNCER=1, or pgbouncer=true in the URL, sessions get each "
	    "other's state",
	    backend->target->label);
}

static void note_sources(struct backend *backend, const PGresult *found)
{
	backend->never_reset = backend->functions_set = false;
	for (int row = 0; row < REAL(PQntuples)(found); row++) {
		const char *source = REAL(PQgetvalue)(found, row, 0);

		if (strcmp(source, "role") == 0) {
			backend->default_role = true;
			continue;
		}
		backend->functions_set = true;
		if (statement_scan(source) & STATEMENT_SETS_UNKNOWN)
			backend->never_reset = true;
	}
	if (backend->never_reset || backend->default_role)
		say_debug("%s: %s: its backends are closed, not reused", backend->target->label,
		    backend->never_reset ? "a function sets a setting by a computed name"
					 : "a default role");
}

/* Clears it. */
static void note_answer(struct backend *backend, PGresult *answer)
{
	if (REAL(PQresultStatus)(answer) != PGRES_TUPLES_OK)
		backend->refused |= refusal_is(REAL(PQresultErrorMessage)(answer));
	else if (REAL(PQnfields)(answer) == 1)
		note_sources(backend, answer);
	else
		note_process(backend, answer);
	REAL(PQclear)(answer);
}

bool backend_examine_begin(struct backend *backend)
{
	struct text query = {0};

	if (backend->examined || backend->target->pgbouncer || backend->target->replication)
		return false;
	backend->examined = true;
	/* Where the question cannot be asked, the safe answer is to reuse nothing. */
	backend->never_reset = true;
	text_add(&query, "%s%s", backend_isolation(backend), examine_query);
	add_process_query(&query);
	char *text = text_take(&query);
	backend_hush(backend);
	backend->asking = text && REAL(PQsendQuery)(backend->conn, text) == 1;
	backend->asked_ms = process_clock_ms();
	free(text);
	return backend->asking;
}

/* Read what is there; false when it was the last. */
static bool read_answers(struct backend *backend)
{
	while (backend->asking) {
		REAL(PQconsumeInput)(backend->conn);
		if (REAL(PQisBusy)(backend->conn))
			return true;
		PGresult *answer = REAL(PQgetResult)(backend->conn);
		backend->asking = answer && !is_copy(answer);
		if (answer)
			note_answer(backend, answer);
	}
	return false;
}

bool backend_examined_by(struct backend *backend, int64_t until_ms)
{
	while (read_answers(backend)) {
		struct pollfd wanted = {.fd = REAL(PQsocket)(backend->conn), .events = POLLIN};
		int64_t left = until_ms - process_clock_ms();

		if (left < 0)
			left = 0;
		if (poll(&wanted, 1, left < INT_MAX ? (int)left : INT_MAX) == 0 && left == 0)
			return false;
	}
	return true;
}

void backend_examine(struct backend *backend)
{
	int64_t until_ms = process_clock_ms() + settings()->connect_timeout_ms;

	if (!backend_examine_begin(backend) || backend_examined_by(backend, until_ms))
		return;
	backend->asking = false;
	break_connection(backend);
}

void backend_take_for_refused(struct backend *backend)
{
	say_debug("%s: no answer to the first question: a pooler has no place for it",
	    backend->target->label);
	backend->refused = true;
	backend->asking = false;
	shutdown(REAL(PQsocket)(backend->conn), SHUT_RDWR);
	/* Here libpq sees it. */
	while (
	    REAL(PQstatus)(backend->conn) == CONNECTION_OK && REAL(PQconsumeInput)(backend->conn))
		;
}

bool backend_is_older(const struct backend *backend)
{
	return backend->generation != pool_generation();
}

static void begin(struct backend *backend, struct target *target)
{
	openssl_prepare();
	backend->target = target_hold(target);
	backend->generation = pool_generation();
	backend->examined = backend->never_reset = backend->default_role = false;
	backend->reset_pending = false;
	backend->tracing = backend->unshared = false;
	backend->asking = backend->refused = false;
	backend->asked_ms = 0;
	backend->guard[0] = '\0';
	pool_note_process(backend, 0, "");
	backend->stain_count = 0;
	backend->has_temporary = backend->functions_set = false;
	backend->blank.taken = false;
}

static void remember_socket(struct backend *backend)
{
	int descriptor = REAL(PQsocket)(backend->conn);
	struct stat file;

	if (descriptor < 0 || fstat(descriptor, &file) != 0)
		return;
	backend->device = file.st_dev;
	backend->inode = file.st_ino;
	backend->descriptor = descriptor;
}

bool backend_open(struct backend *backend, struct target *target, int64_t answer_by_ms)
{
	begin(backend, target);
	backend->conn = REAL(PQconnectdb)(target_conninfo(target));
	target_resolve(target, backend->conn);
	if (REAL(PQstatus)(backend->conn) != CONNECTION_OK)
		return false;
	backend_started(backend);
	/* PgBouncer may connect us at once, and let the first question wait for a place. */
	if (backend_examine_begin(backend) && !backend_examined_by(backend, answer_by_ms))
		backend_take_for_refused(backend);
	return !backend->refused && REAL(PQstatus)(backend->conn) == CONNECTION_OK;
}

bool backend_start(struct backend *backend, struct target *target)
{
	begin(backend, target);
	backend->conn = REAL(PQconnectStart)(target_conninfo(target));
	target_resolve(target, backend->conn);
	if (!backend->conn || REAL(PQstatus)(backend->conn) == CONNECTION_BAD)
		return false;
	learn_defaults(backend->conn);
	return true;
}

/*
 * A program that closes all descriptors, as daemons do, may give their numbers to files of its own:
 * what it has finished itself must not be read from, written to or closed by us then.
 */
static bool is_the_socket(const struct backend *backend, int descriptor)
{
	struct stat file;

	return fstat(descriptor, &file) == 0 && file.st_dev == backend->device &&
	       file.st_ino == backend->inode;
}

/* While it connects, libpq may go from one socket to another. */
bool backend_has_socket(const struct backend *backend)
{
	int descriptor = REAL(PQsocket)(backend->conn);

	return descriptor < 0 || !backend->connected || is_the_socket(backend, descriptor);
}

void backend_started(struct backend *backend)
{
	remember_socket(backend);
	learn_defaults(backend->conn);
	target_succeeded(backend->target, backend->conn);
	process_has_backend(REAL(PQsslInUse)(backend->conn));
	if (!backend->connected)
		trace_backend(true);
	backend->connected = true;
	say_debug("opened a backend for %s", backend->target->label);
}

/* Whether the other side has closed; what it still has to say is read and forgotten. */
static bool has_closed(int descriptor)
{
	char rest[4096];
	ssize_t got;

	do
		got = recv(descriptor, rest, sizeof rest, MSG_DONTWAIT);
	while (got > 0);
	return got == 0 || (errno != EAGAIN && errno != EINTR);
}

/* Until the other side has closed, or the deadline. The server logs and counts until then. */
static void wait_for_end(int descriptor, int64_t deadline_ms)
{
	while (!has_closed(descriptor)) {
		struct pollfd wanted = {.fd = descriptor, .events = POLLIN};
		int64_t left = deadline_ms - process_clock_ms();

		if (left <= 0 || (poll(&wanted, 1, (int)left) < 0 && errno != EINTR))
			return;
	}
}

void backend_let_go(struct backend *backend)
{
	int saved_errno = errno;

	/* libpq's connection is left: freeing it would close a file of the program's. */
	if (backend->conn && !backend_has_socket(backend))
		backend->conn = NULL;
	if (backend->conn) {
		int descriptor = REAL(PQsocket)(backend->conn);

		if (descriptor >= 0) {
			remember_socket(backend);
			backend->descriptor = -1; /* libpq closes that one */
			backend->ending = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
		}
		struct backend *in_hand = pool_put_down();
		REAL(PQfinish)(backend->conn); /* calls event procedures of the program's */
		pool_take_up(in_hand);
		backend->conn = NULL;
		if (backend->ending >= 0)
			shutdown(backend->ending, SHUT_WR);
		backend->ends_ms = process_clock_ms() + settings()->connect_timeout_ms;
		say_debug("closed a backend for %s", backend->target->label);
	}
	if (backend->connected)
		trace_backend(false);
	backend->connected = false;
	target_release(backend->target);
	backend->target = NULL;
	errno = saved_errno;
}

bool backend_has_ended(struct backend *backend, int64_t wait_until_ms)
{
	int saved_errno = errno;

	if (backend->ending >= 0 && !is_the_socket(backend, backend->ending))
		backend->ending = -1;
	if (backend->ending >= 0) {
		if (wait_until_ms > 0)
			wait_for_end(backend->ending,
			    wait_until_ms < backend->ends_ms ? wait_until_ms : backend->ends_ms);
		if (!has_closed(backend->ending) && process_clock_ms() < backend->ends_ms) {
			errno = saved_errno;
			return false;
		}
		close(backend->ending);
		backend->ending = -1;
	}
	errno = saved_errno;
	return true;
}

void backend_close(struct backend *backend)
{
	backend_let_go(backend);
	backend_has_ended(backend, INT64_MAX);
}

void backend_disconnect(struct backend *backend)
{
	int descriptor = REAL(PQsocket)(backend->conn);

	backend->examined = false;
	backend->guard[0] = '\0';
	pool_note_process(backend, 0, "");
	if (descriptor < 0)
		return;
	shutdown(descriptor, SHUT_WR);
	wait_for_end(descriptor, process_clock_ms() + settings()->connect_timeout_ms);
}

void backend_sever(struct backend *backend)
{
	backend_hush(backend);
	backend_disconnect(backend);
	/* Here libpq sees it. */
	REAL(PQconsumeInput)(backend->conn);
}

void backend_abandon(struct backend *backend)
{
	int saved_errno = errno;

	/*
	 * The connection's memory is left: freeing it through libpq would talk to the parent's
	 * server process.
	 */
	if (backend->descriptor >= 0 && is_the_socket(backend, backend->descriptor))
		close(backend->descriptor);
	backend->descriptor = -1;
	errno = saved_errno;
}

bool backend_in_pipeline(const struct backend *backend)
{
	return HAS(PQpipelineStatus) && REAL(PQpipelineStatus)(backend->conn) != 0;
}

/* End what a session left open; false when the connection is in no state to be reused. */
static bool end_transaction(struct backend *backend)
{
	PGTransactionStatusType status = REAL(PQtransactionStatus)(backend->conn);

	if (backend_in_pipeline(backend))
		return false;
	if (status == PQTRANS_IDLE)
		return true;
	if (status != PQTRANS_INTRANS && status != PQTRANS_INERROR)
		return false;
	REAL(PQclear)(backend_query(backend, "ROLLBACK"));
	return REAL(PQtransactionStatus)(backend->conn) == PQTRANS_IDLE;
}

static void forget_notifies(struct backend *backend)
{
	PGnotify *notify;

	while ((notify = REAL(PQnotifies)(backend->conn)))
		REAL(PQfreemem)(notify);
}

/* DISCARD ALL takes a snapshot: see backend_may_wait. It cannot be in a message with anything. */
static void allow_discard(struct backend *backend)
{
	if (tells_read_only(backend, "on"))
		REAL(PQclear)(backend_query(backend, "SET default_transaction_read_only = off"));
}

bool backend_reset(struct backend *backend, bool dirty)
{
	if (REAL(PQstatus)(backend->conn) != CONNECTION_OK || !backend_has_socket(backend) ||
	    backend->tracing || backend->unshared || backend->target->replication)
		return false;
	if (dirty && (backend->never_reset || backend->default_role))
		return false;
	backend_hush(backend);
	if (!end_transaction(backend))
		return false;
	forget_notifies(backend);
	if (!dirty || backend->target->pgbouncer)
		return true;
	allow_discard(backend);
	backend->reset_pending = REAL(PQsendQuery)(backend->conn, "DISCARD ALL") == 1;
	backend->guard[0] = '\0';
	return backend->reset_pending;
}

static bool read_reset(struct backend *backend)
{
	bool good = true;
	PGresult *result;

	while ((result = backend_next_result(backend))) {
		good &= REAL(PQresultStatus)(result) == PGRES_COMMAND_OK;
		REAL(PQclear)(result);
		if (REAL(PQstatus)(backend->conn) != CONNECTION_OK)
			return false;
	}
	forget_notifies(backend);
	return good && REAL(PQtransactionStatus)(backend->conn) == PQTRANS_IDLE;
}

/*
 * What DISCARD ALL leaves to do. It takes our guard off. And it leaves a custom setting behind as an
 * empty text, where a new connection has none at all: such a backend may only serve sessions that
 * have the setting themselves.
 */
static bool see_after_reset(struct backend *backend)
{
	size_t count = custom_count();
	struct text query = {0};

	backend->stain_count = 0;
	if ((count == 0 && settings()->statement_timeout_ms == 0) || backend->target->pgbouncer)
		return true;
	text_add_string(&query, backend_isolation(backend));
	add_process_query(&query);
	for (size_t i = 0; i < count; i++)
		text_add(&query, ", pg_catalog.current_setting('%s', true)", custom_name(i));
	char *text = text_take(&query);
	PGresult *found = text ? backend_query(backend, text) : NULL;
	free(text);
	bool good = is_answer(found, FIRST_CUSTOM + (int)count) && REAL(PQntuples)(found) == 1;
	if (good)
		note_process(backend, found);
	for (size_t i = 0; good && i < count; i++) {
		int column = FIRST_CUSTOM + (int)i;

		if (!REAL(PQgetisnull)(found, 0, column) && !REAL(PQgetvalue)(found, 0, column)[0])
			backend->stains[backend->stain_count++] = custom_name(i);
	}
	REAL(PQclear)(found);
	return good;
}

/* Nothing may come unasked from an idle server, except its last words. */
bool backend_is_quiet(const struct backend *backend)
{
	struct pollfd wanted = {.fd = REAL(PQsocket)(backend->conn), .events = POLLIN};

	return wanted.fd >= 0 && poll(&wanted, 1, 0) == 0;
}

bool backend_settle(struct backend *backend)
{
	bool was_reset = backend->reset_pending;

	backend->reset_pending = false;
	if (!backend_has_socket(backend) || (was_reset && !read_reset(backend)))
		return false;
	if (REAL(PQstatus)(backend->conn) != CONNECTION_OK || !backend_is_quiet(backend))
		return false;
	backend_examine(backend);
	if (REAL(PQstatus)(backend->conn) != CONNECTION_OK)
		return false;
	if (custom_overflowed() || backend->never_reset || backend->default_role)
		return !was_reset;
	return !was_reset || see_after_reset(backend);
}

void backend_guard(struct backend *backend)
{
	struct text query = {0};

	text_add_string(&query, backend_isolation(backend));
	add_process_query(&query);
	char *text = text_take(&query);
	PGresult *row = text ? backend_query(backend, text) : NULL;
	if (REAL(PQresultStatus)(row) == PGRES_TUPLES_OK)
		note_process(backend, row);
	REAL(PQclear)(row);
	free(text);
}

bool backend_found_no_server(const struct backend *backend)
{
	/* What a server says that starts, stops or recovers; any other says why it refuses. */
	static const char *const passing[] = {"the database system is", "terminating connection"};
	const char *message = REAL(PQerrorMessage)(backend->conn);

	for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
		if (strstr(message, passing[i]))
			return true;
	return !strstr(message, "FATAL:");
}
