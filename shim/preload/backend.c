/*
 * The life of one backend: opened, examined, reset, settled, closed. Called by the pool and by
 * sessions that were given a place in it; decides nothing about who gets which, and knows nothing
 * of sessions' state.
 */
#include "backend.h"
#include "pool.h"
#include "process.h"
#include "say.h"
#include "settings.h"
#include "statement.h"
#include "text.h"
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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

PGresult *backend_query(struct backend *backend, const char *query)
{
	backend_hush(backend);
	return REAL(PQexec)(backend->conn, query);
}

bool backend_begins_copy(ExecStatusType status)
{
	return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

/* libpq's own functions, which the first caller of PQsetNoticeReceiver expects as the old ones. */
static void learn_defaults(PGconn *conn)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&lock);
	if (!defaults.receiver) {
		defaults.processor = REAL(PQsetNoticeProcessor)(conn, NULL, NULL);
		defaults.receiver = REAL(PQsetNoticeReceiver)(conn, NULL, NULL);
	}
	pthread_mutex_unlock(&lock);
}

/* Whether it has the columns that were asked for: a server may answer anything. */
static bool is_answer(const PGresult *result, int columns)
{
	return REAL(PQresultStatus)(result) == PGRES_TUPLES_OK &&
	       REAL(PQnfields)(result) == columns;
}

/*
 * What has to be asked once of every connection: whether its role has a default role (DISCARD ALL
 * does not give that back), and which custom settings the database's functions may set behind our
 * back.
 */
void backend_examine(struct backend *backend)
{
	static const char query[] =
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
	    "AND p.prosrc OPERATOR(pg_catalog.~*) 'set_config|(^|[^a-z_])set[^a-z_]'";

	if (backend->examined || backend->target->pgbouncer || backend->target->replication)
		return;
	backend->examined = true;
	PGresult *found = backend_query(backend, query);
	/* Where the question cannot be asked, the safe answer is to reuse nothing. */
	backend->never_reset = !is_answer(found, 1);
	for (int row = 0; !backend->never_reset && row < REAL(PQntuples)(found); row++) {
		const char *source = REAL(PQgetvalue)(found, row, 0);

		if (strcmp(source, "role") == 0)
			backend->default_role = true;
		else if (statement_scan(source) & STATEMENT_SETS_UNKNOWN)
			backend->never_reset = true;
	}
	if (backend->never_reset || backend->default_role)
		say_debug("%s: %s: its backends are closed, not reused", backend->target->label,
		    backend->never_reset ? "a function sets a setting by a computed name"
					 : "a default role");
	REAL(PQclear)(found);
}

bool backend_is_older(const struct backend *backend)
{
	return backend->generation != pool_generation();
}

static void begin(struct backend *backend, struct target *target)
{
	backend->target = target_hold(target);
	backend->generation = pool_generation();
	backend->examined = backend->never_reset = backend->default_role = false;
	backend->reset_pending = false;
	backend->tracing = backend->unshared = false;
	backend->stain_count = 0;
}

bool backend_open(struct backend *backend, struct target *target)
{
	begin(backend, target);
	backend->conn = REAL(PQconnectdb)(target_conninfo(target));
	target_resolve(target, backend->conn);
	if (REAL(PQstatus)(backend->conn) != CONNECTION_OK)
		return false;
	backend_started(backend);
	backend_examine(backend);
	return true;
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

void backend_started(struct backend *backend)
{
	learn_defaults(backend->conn);
	target_succeeded(backend->target, backend->conn);
	process_first_backend();
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

	if (backend->conn) {
		int descriptor = REAL(PQsocket)(backend->conn);

		if (descriptor >= 0)
			backend->ending = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
		REAL(PQfinish)(backend->conn);
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
	/*
	 * The connection's memory is left: freeing it through libpq would talk to the parent's
	 * server process.
	 */
	int descriptor = REAL(PQsocket)(backend->conn);

	if (descriptor >= 0)
		close(descriptor);
}

/* End what a session left open; false when the connection is in no state to be reused. */
static bool end_transaction(struct backend *backend)
{
	PGTransactionStatusType status = REAL(PQtransactionStatus)(backend->conn);

	if (HAS(PQpipelineStatus) && REAL(PQpipelineStatus)(backend->conn) != 0)
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

/*
 * DISCARD ALL takes a snapshot. Where transactions are serializable, read-only and deferrable by
 * default it would wait for the end of others, which may be this same program's.
 */
static void allow_discard(struct backend *backend)
{
	const char *value = REAL(PQparameterStatus)(backend->conn, "default_transaction_read_only");

	if (value && strcmp(value, "on") == 0)
		REAL(PQclear)(backend_query(backend, "SET default_transaction_read_only = off"));
}

bool backend_reset(struct backend *backend, bool dirty)
{
	if (REAL(PQstatus)(backend->conn) != CONNECTION_OK || backend->tracing ||
	    backend->unshared || backend->target->replication)
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
	return backend->reset_pending;
}

static bool read_reset(struct backend *backend)
{
	bool good = true;
	PGresult *result;

	while ((result = REAL(PQgetResult)(backend->conn))) {
		ExecStatusType status = REAL(PQresultStatus)(result);

		good &= status == PGRES_COMMAND_OK;
		REAL(PQclear)(result);
		if (backend_begins_copy(status) || REAL(PQstatus)(backend->conn) != CONNECTION_OK)
			return false;
	}
	forget_notifies(backend);
	return good && REAL(PQtransactionStatus)(backend->conn) == PQTRANS_IDLE;
}

/*
 * DISCARD ALL leaves a custom setting behind as an empty text, where a new connection has none at
 * all. Such a backend may only serve sessions that have the setting themselves.
 */
static bool find_stains(struct backend *backend)
{
	size_t count = custom_count();
	struct text query = {0};

	backend->stain_count = 0;
	if (count == 0 || backend->target->pgbouncer)
		return true;
	text_add(&query, "SELECT ");
	for (size_t i = 0; i < count; i++)
		text_add(&query, "%spg_catalog.current_setting('%s', true)", i ? ", " : "",
		    custom_name(i));
	char *text = text_take(&query);
	PGresult *found = text ? backend_query(backend, text) : NULL;
	free(text);
	bool good = is_answer(found, (int)count) && REAL(PQntuples)(found) == 1;
	for (size_t i = 0; good && i < count; i++)
		if (!REAL(PQgetisnull)(found, 0, (int)i) && !REAL(PQgetvalue)(found, 0, (int)i)[0])
			backend->stains[backend->stain_count++] = custom_name(i);
	REAL(PQclear)(found);
	return good;
}

/* Nothing may come unasked from an idle server, except its last words. */
static bool is_quiet(struct backend *backend)
{
	struct pollfd wanted = {.fd = REAL(PQsocket)(backend->conn), .events = POLLIN};

	return wanted.fd >= 0 && poll(&wanted, 1, 0) == 0;
}

bool backend_settle(struct backend *backend)
{
	bool was_reset = backend->reset_pending;

	backend->reset_pending = false;
	if (was_reset && !read_reset(backend))
		return false;
	if (REAL(PQstatus)(backend->conn) != CONNECTION_OK || !is_quiet(backend))
		return false;
	backend_examine(backend);
	if (custom_overflowed() || backend->never_reset || backend->default_role)
		return !was_reset;
	return !was_reset || find_stains(backend);
}

bool backend_refused_for_room(const char *message)
{
	/*
	 * PostgreSQL, PgBouncer and Supavisor; the SQLSTATE of a refused connect is not to be had
	 * from libpq.
	 */
	static const char *const refusals[] = {"too many clients already",
	    "too many connections for", "remaining connection slots are reserved",
	    "no more connections allowed", "MaxClientsInSessionMode", "max clients reached"};

	for (size_t i = 0; message && i < sizeof refusals / sizeof *refusals; i++)
		if (strstr(message, refusals[i]))
			return true;
	return false;
}
