/*
 * Everything at once, at random: threads, each with some sessions, do with them what programs do, and
 * check every answer against what they know of the session: its marker (its application_name), its
 * prepared statement, its open transaction. Whatever happens to the server, a session is either as it
 * was, or lost for all to see: then it is reset or opened anew, and knows nothing.
 *
 * usage: mixer calm|storm SEED SECONDS THREADS SESSIONS-EACH
 *   calm   nobody disturbs: no connection may be lost, nor a connect fail
 *   storm  servers die and refuse; temporary tables and listening keep sessions from moving
 * With one thread it forks, too; children connect as mixer_child. Prints its numbers; fails when an answer was wrong.
 */
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_COMPLAINTS 20
#define MOST_LEAKS 50
#define UNREACHABLE_SECONDS 40

struct one {
	PGconn *conn;
	int marker;   /* 0: none is set */
	int prepared; /* what EXECUTE p gives; 0: there is no p */
	int table;    /* what its temporary table holds; 0: there is none */
	int heard;    /* the marker in the last notice */
	bool opened;  /* once; else what fails is a connect */
};

struct worker {
	pthread_t thread;
	struct one *ones;
	unsigned seed;
	int number, leaks;
};

static bool storm;
static int threads, sessions;
static time_t end;
static atomic_long right, wrong, lost, refused;

static void complain(const struct one *one, const char *what, ...)
{
	va_list arguments;
	char text[512];

	if (atomic_fetch_add(&wrong, 1) >= MOST_COMPLAINTS)
		return;
	va_start(arguments, what);
	vsnprintf(text, sizeof text, what, arguments);
	va_end(arguments);
	printf(
	    "marker %d: %s: %s\n", one->marker, text, one->conn ? PQerrorMessage(one->conn) : "");
	fflush(stdout);
}

static int draw(struct worker *worker, int most)
{
	return (int)((unsigned)rand_r(&worker->seed) % (unsigned)most);
}

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* ---- Losing a session, and having another ---- */

/* libpq may say the latter of a failed write, and learn that the connection is gone at the next read. */
static bool is_last_word(const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return (state && strncmp(state, "57P0", 4) == 0) ||
	       strstr(PQresultErrorMessage(result), "server closed the connection unexpectedly");
}

/* Whether the connection is gone, as the program sees it; only a storm may do that. */
static bool is_lost(struct one *one, const PGresult *result)
{
	if (PQstatus(one->conn) == CONNECTION_OK && !is_last_word(result))
		return false;
	if (!storm)
		complain(one, "the connection is lost");
	return true;
}

static void hear(void *argument, const PGresult *notice)
{
	struct one *one = argument;
	const char *said = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);

	if (said && strncmp(said, "marker ", 7) == 0)
		one->heard = atoi(said + 7);
}

static void poll_until_open(PGconn *conn, PostgresPollingStatusType (*poll_once)(PGconn *))
{
	PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;

	while (wanted != PGRES_POLLING_OK && wanted != PGRES_POLLING_FAILED) {
		struct pollfd ready = {.fd = PQsocket(conn),
		    .events = wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT};

		if (ready.fd >= 0)
			poll(&ready, 1, 10000);
		wanted = poll_once(conn);
	}
}

static PGconn *start_conn(void)
{
	PGconn *conn = PQconnectStart("");

	if (PQstatus(conn) != CONNECTION_BAD)
		poll_until_open(conn, PQconnectPoll);
	return conn;
}

static void open_once(struct worker *worker, struct one *one)
{
	if (one->conn && draw(worker, 2))
		PQreset(one->conn);
	else if (one->conn && draw(worker, 4) == 0 && PQresetStart(one->conn))
		poll_until_open(one->conn, PQresetPoll);
	else {
		PQfinish(one->conn);
		one->conn = draw(worker, 3) ? PQconnectdb("") : start_conn();
	}
}

/* A session that knows nothing. */
static bool open_anew(struct worker *worker, struct one *one)
{
	time_t give_up = time(NULL) + UNREACHABLE_SECONDS;

	*one = (struct one){.conn = one->conn};
	for (open_once(worker, one); PQstatus(one->conn) != CONNECTION_OK; open_once(worker, one)) {
		atomic_fetch_add(&refused, 1);
		if (!storm || time(NULL) > give_up) {
			complain(one, "it cannot connect");
			return false;
		}
		sleep_ms(20);
	}
	PQsetNoticeReceiver(one->conn, hear, one);
	return true;
}

/* ---- Answers ---- */

/* Clears the result. False when the session is lost, or the answer wrong. */
static bool expect(struct one *one, PGresult *result, const char *what, ExecStatusType status,
    const char *expected)
{
	bool good = PQresultStatus(result) == status &&
		    (!expected ||
			(PQntuples(result) > 0 && strcmp(PQgetvalue(result, 0, 0), expected) == 0));

	if (good)
		atomic_fetch_add(&right, 1);
	else if (is_lost(one, result)) {
		atomic_fetch_add(&lost, 1);
		one->opened = false;
	} else
		complain(one, "%s: \"%s\" expected, %s, \"%s\"", what, expected ? expected : "",
		    PQresStatus(PQresultStatus(result)),
		    PQntuples(result) > 0 ? PQgetvalue(result, 0, 0)
					  : PQresultErrorMessage(result));
	PQclear(result);
	return good;
}

static bool command(struct one *one, const char *query)
{
	return expect(one, PQexec(one->conn, query), query, PGRES_COMMAND_OK, NULL);
}

static bool value(struct one *one, const char *query, int expected)
{
	char text[16];

	snprintf(text, sizeof text, "%d", expected);
	return expect(one, PQexec(one->conn, query), query, PGRES_TUPLES_OK, text);
}

static const char show_marker[] = "SELECT current_setting('application_name')";

static const char *name_of(const struct one *one, char *text, size_t size)
{
	snprintf(text, size, one->marker ? "m%d" : "", one->marker);
	return text;
}

/* The last result of what was sent. */
static PGresult *fetch(struct one *one)
{
	PGresult *last = NULL, *next;

	while ((next = PQgetResult(one->conn))) {
		/* The rows one by one are followed by an empty result. */
		if (PQresultStatus(last) == PGRES_SINGLE_TUPLE && PQntuples(next) == 0 &&
		    PQresultStatus(next) == PGRES_TUPLES_OK) {
			PQclear(next);
			continue;
		}
		PQclear(last);
		last = next;
	}
	return last;
}

/* ---- What programs do ---- */

typedef void deed(struct worker *worker, struct one *one);

static void ask_marker(struct worker *worker, struct one *one)
{
	char name[16];
	const char *expected = name_of(one, name, sizeof name);

	switch (draw(worker, 3)) {
	case 0:
		expect(one, PQexec(one->conn, show_marker), "PQexec", PGRES_TUPLES_OK, expected);
		break;
	case 1:
		expect(one, PQexecParams(one->conn, show_marker, 0, NULL, NULL, NULL, NULL, 0),
		    "PQexecParams", PGRES_TUPLES_OK, expected);
		break;
	default:
		PQsendQuery(one->conn, show_marker);
		expect(one, fetch(one), "PQsendQuery", PGRES_TUPLES_OK, expected);
	}
}

static void ask_status(struct worker *worker, struct one *one)
{
	char name[16];
	const char *status = PQparameterStatus(one->conn, "application_name");

	(void)worker;
	if (PQstatus(one->conn) == CONNECTION_OK &&
	    (!status || strcmp(status, name_of(one, name, sizeof name)) != 0))
		complain(one, "PQparameterStatus is %s", status ? status : "NULL");
}

static void ask_rows_one_by_one(struct worker *worker, struct one *one)
{
	char name[16];

	(void)worker;
	PQsendQuery(one->conn, show_marker);
	PQsetSingleRowMode(one->conn);
	expect(one, fetch(one), "single rows", PGRES_SINGLE_TUPLE, name_of(one, name, sizeof name));
}

static void set_marker(struct worker *worker, struct one *one)
{
	int marker = 1 + draw(worker, 1000000);
	char query[64];

	snprintf(query, sizeof query, "SET application_name = 'm%d'", marker);
	if (command(one, query))
		one->marker = marker;
}

static void prepare(struct worker *worker, struct one *one)
{
	int number = 1 + draw(worker, 1000000);
	char query[64];

	if (one->prepared && !command(one, "DEALLOCATE p"))
		return;
	one->prepared = 0;
	snprintf(query, sizeof query, "SELECT %d", number);
	if (expect(one, PQprepare(one->conn, "p", query, 0, NULL), query, PGRES_COMMAND_OK, NULL))
		one->prepared = number;
}

static void execute(struct worker *worker, struct one *one)
{
	char text[16];

	(void)worker;
	if (!one->prepared)
		return;
	snprintf(text, sizeof text, "%d", one->prepared);
	expect(one, PQexecPrepared(one->conn, "p", 0, NULL, NULL, NULL, 0), "PQexecPrepared",
	    PGRES_TUPLES_OK, text);
}

static void fail(struct worker *worker, struct one *one)
{
	(void)worker;
	PGresult *result = PQexec(one->conn, "SELECT 1/0");
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (state && strcmp(state, "22012") == 0 && PQstatus(one->conn) == CONNECTION_OK &&
	    !strstr(PQerrorMessage(one->conn), "by zero"))
		complain(one, "PQerrorMessage does not tell the error");
	expect(one, result, "1/0", PGRES_FATAL_ERROR, NULL);
	if (PQstatus(one->conn) != CONNECTION_OK)
		one->opened = false;
}

static void transact(struct worker *worker, struct one *one)
{
	int number = 1 + draw(worker, 1000000);
	char query[96];

	snprintf(query, sizeof query, "SELECT set_config('work_mem', '%dkB', true)", 1000 + number);
	if (!command(one, "BEGIN") ||
	    !expect(one, PQexec(one->conn, query), query, PGRES_TUPLES_OK, NULL) ||
	    !command(one, "DECLARE c CURSOR FOR SELECT generate_series(1, 10)") ||
	    !command(one, "MOVE 4 IN c") || !value(one, "FETCH 1 FROM c", 5) ||
	    !value(one, "SELECT setting FROM pg_settings WHERE name = 'work_mem'", 1000 + number))
		return;
	command(one, draw(worker, 2) ? "COMMIT" : "ROLLBACK");
}

static void copy_out(struct worker *worker, struct one *one)
{
	char *row = NULL;
	int rows = 0, most = 1 + draw(worker, 5000);
	char query[96];

	snprintf(query, sizeof query, "COPY (SELECT generate_series(1, %d)) TO STDOUT", most);
	if (!expect(one, PQexec(one->conn, query), query, PGRES_COPY_OUT, NULL))
		return;
	for (; PQgetCopyData(one->conn, &row, 0) > 0; PQfreemem(row))
		if (atoi(row) != ++rows)
			complain(one, "row %d of COPY is %s", rows, row);
	if (expect(one, fetch(one), query, PGRES_COMMAND_OK, NULL) && rows != most)
		complain(one, "COPY gave %d rows of %d", rows, most);
}

static void notice(struct worker *worker, struct one *one)
{
	int number = 1 + draw(worker, 1000000);
	char query[96];

	snprintf(query, sizeof query, "DO $$BEGIN RAISE NOTICE 'marker %d'; END$$", number);
	if (command(one, query) && one->heard != number)
		complain(one, "notice %d instead of %d", one->heard, number);
}

static void cancel(struct worker *worker, struct one *one)
{
	PGcancel *cancel = PQgetCancel(one->conn);
	char why[256];

	(void)worker;
	if (PQsendQuery(one->conn, "SELECT pg_sleep(0.3)") && cancel)
		PQcancel(cancel, why, sizeof why);
	PQfreeCancel(cancel);
	PGresult *result = fetch(one);
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	/* It may have come before the statement had begun. */
	if (PQresultStatus(result) == PGRES_FATAL_ERROR && state && strcmp(state, "57014") == 0)
		expect(one, result, "PQcancel", PGRES_FATAL_ERROR, NULL);
	else
		expect(one, result, "PQcancel", PGRES_TUPLES_OK, NULL);
}

static void large(struct worker *worker, struct one *one)
{
	(void)worker;
	PGresult *result = PQexec(one->conn, "SELECT generate_series(1, 20000)");

	if (PQresultStatus(result) == PGRES_TUPLES_OK &&
	    (PQntuples(result) != 20000 || strcmp(PQgetvalue(result, 19999, 0), "20000") != 0))
		complain(one, "a large result has %d rows", PQntuples(result));
	expect(one, result, "a large result", PGRES_TUPLES_OK, "1");
}

/* It stays where it is from then on. */
static void make_table(struct worker *worker, struct one *one)
{
	int number = 1 + draw(worker, 1000000);
	char query[64];

	if (!storm)
		return;
	if (one->table) {
		if (value(one, "SELECT number FROM pg_temp.kept", one->table) && draw(worker, 2) &&
		    command(one, "DROP TABLE pg_temp.kept"))
			one->table = 0;
		return;
	}
	snprintf(query, sizeof query, "CREATE TEMP TABLE kept AS SELECT %d AS number", number);
	if (command(one, query))
		one->table = number;
}

static void listen_to_itself(struct worker *worker, struct one *one)
{
	char query[64];

	if (!storm)
		return;
	int number = 1 + draw(worker, 1000000);
	snprintf(query, sizeof query, "NOTIFY c%d, '%d'", number, one->marker);
	PGnotify *heard = NULL;
	char listen[32];
	snprintf(listen, sizeof listen, "LISTEN c%d", number);
	if (command(one, listen) && command(one, query)) {
		heard = PQnotifies(one->conn);
		if (!heard || atoi(heard->extra) != one->marker)
			complain(one, "notified of %s", heard ? heard->extra : "nothing");
		command(one, "UNLISTEN *");
	}
	PQfreemem(heard);
}

static void replace(struct worker *worker, struct one *one)
{
	if (draw(worker, 5) == 0 && worker->leaks < MOST_LEAKS) {
		worker->leaks++;
		one->conn = NULL;
	} else if (draw(worker, 2)) {
		PQfinish(one->conn);
		one->conn = NULL;
	}
	one->opened = false;
}

/*
 * The child opens one of its own, and ends in one of the ways processes end: the server may notice late,
 * so it is another user, whose connections are not counted with ours.
 */
static void be_child(struct worker *worker, struct one *inherited)
{
	struct one own = {.conn = PQconnectdb("user=mixer_child")};
	int way = draw(worker, 4);

	if (PQstatus(own.conn) == CONNECTION_OK)
		value(&own, "SELECT 42", 42);
	else if (!storm)
		complain(&own, "the child cannot connect");
	if (way == 0)
		PQfinish(inherited->conn);
	if (way < 2)
		PQfinish(own.conn);
	fflush(stdout);
	if (way == 3)
		kill(getpid(), SIGKILL);
	else if (way == 2)
		exit(atomic_load(&wrong) > 0);
	_exit(atomic_load(&wrong) > 0);
}

static void have_child(struct worker *worker, struct one *one)
{
	int status = 0;

	if (threads > 1)
		return;
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		atomic_store(&wrong, 0);
		be_child(worker, one);
	}
	/* Both would draw the same from now on. */
	draw(worker, 2);
	waitpid(child, &status, 0);
	if ((WIFEXITED(status) && WEXITSTATUS(status) != 0) ||
	    (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL))
		complain(one, "the child ends with %#x", (unsigned)status);
}

static void think(struct worker *worker, struct one *one)
{
	(void)one;
	sleep_ms(draw(worker, 20));
}

static deed *const deeds[] = {ask_marker, ask_marker, ask_marker, ask_status, ask_rows_one_by_one,
    set_marker, set_marker, prepare, execute, execute, fail, transact, copy_out, notice, cancel,
    large, make_table, listen_to_itself, replace, have_child, think};

static void *work(void *argument)
{
	struct worker *worker = argument;

	while (time(NULL) < end) {
		struct one *one = &worker->ones[draw(worker, sessions)];

		if (!one->opened && !(one->opened = open_anew(worker, one)))
			break;
		deeds[draw(worker, (int)(sizeof deeds / sizeof *deeds))](worker, one);
	}
	for (int i = 0; i < sessions; i++)
		if (draw(worker, 4))
			PQfinish(worker->ones[i].conn);
	free(worker->ones);
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		fputs("usage: mixer calm|storm SEED SECONDS THREADS SESSIONS-EACH\n", stderr);
		return 2;
	}
	storm = strcmp(argv[1], "storm") == 0;
	end = time(NULL) + atoi(argv[3]);
	threads = atoi(argv[4]);
	sessions = atoi(argv[5]);
	struct worker *workers = calloc((size_t)threads, sizeof *workers);

	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < threads; i++) {
		workers[i] =
		    (struct worker){.number = i, .seed = (unsigned)(atoi(argv[2]) * 1000 + i)};
		workers[i].ones = calloc((size_t)sessions, sizeof *workers[i].ones);
	}
	/* With one thread there is none: to us, that makes a difference. */
	if (threads == 1)
		work(&workers[0]);
	else
		for (int i = 0; i < threads; i++)
			pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	for (int i = 0; threads > 1 && i < threads; i++)
		pthread_join(workers[i].thread, NULL);
	free(workers);
	printf("%ld answers right, %ld wrong, %ld connections lost, %ld connects refused\n",
	    atomic_load(&right), atomic_load(&wrong), atomic_load(&lost), atomic_load(&refused));
	return atomic_load(&wrong) > 0;
}
