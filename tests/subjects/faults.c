/*
 * A program that goes through a fault at each message of its connections in turn, and judges by
 * itself whether what it then sees is right: every answer is the right one or an error, a session
 * has all of its state or is broken, PQreset brings it back. Each case is a process of its own.
 *
 * usage: faults PROXY SERVER-SOCKET MOST-CASES SHARE SHARES
 * PROXY is the subject proxy. Of all cases of this environment (limit, parking) about MOST-CASES are
 * run, the same number of messages apart, and of those the ones whose number modulo SHARES is
 * SHARE. Prints a line for each case:
 *   CASE right|WRONG KIND CLASS SCENARIO MODE FAILURES WHAT-WAS-WRONG
 * with the class that the proxy tells, or "-" if the message never came; and for each transaction
 *   rows TAG all|none|either
 * what must be in the table faults.
 */
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_MESSAGES 100000
#define ROWS 3
#define WATCHDOG_S 30

enum mode { BLOCKING, POLLING, ROW_BY_ROW, MODES };
static const char *const mode_names[] = {"blocking", "polling", "row-by-row"};

/* What a case has seen, for its parent. */
struct verdict {
	char wrong[500];
	char rows[2000];
	int failures; /* sessions that broke, and connects that failed */
	bool done;
};

static struct verdict *verdict;
static enum mode mode;
static int limit, cases;
static long slowest_allowed_ms;
static bool away; /* the server is away for a while: several failures are right */
static char case_name[40];

/* A session as the program believes it to be. */
struct client {
	PGconn *conn;
	const char *name;
	const char *memory, *custom;
	bool named; /* has its application_name */
	bool prepared, prepared_too;
};

static void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void wrong(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (!verdict->wrong[0])
		vsnprintf(verdict->wrong, sizeof verdict->wrong, format, arguments);
	va_end(arguments);
	for (char *byte = verdict->wrong; *byte; byte++)
		if (*byte == '\n' || *byte == '\t')
			*byte = ' ';
}

static long clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void check_time(long began_ms, const char *what)
{
	if (clock_ms() - began_ms > slowest_allowed_ms)
		wrong("%.100s took %ld ms", what, clock_ms() - began_ms);
}

/* ---- Connections ---- */

/* What the manual tells a program that may not block. False when there is no socket to wait for. */
static bool wait_for(PGconn *conn, short events)
{
	struct pollfd ready = {.fd = PQsocket(conn), .events = events};

	if (ready.fd < 0)
		return false;
	poll(&ready, 1, 1000);
	return true;
}

static void poll_until_open(PGconn *conn, PostgresPollingStatusType (*poll_once)(PGconn *))
{
	PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;

	do {
		wait_for(conn, wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT);
		wanted = poll_once(conn);
	} while (wanted == PGRES_POLLING_READING || wanted == PGRES_POLLING_WRITING);
}

static void be_new(struct client *client)
{
	client->memory = client->custom = NULL;
	client->named = client->prepared = client->prepared_too = false;
}

static void broke(const struct client *client, const char *what, const char *message)
{
	verdict->failures++;
	if (!message || !*message)
		wrong("%s of %s failed without a message", what, client->name);
}

/* Until the fault is over; a server that has only lost a connection is there at once. */
static void bring_back(struct client *client)
{
	for (int attempt = 0;; attempt++) {
		long began_ms = clock_ms();

		if (mode == BLOCKING)
			PQreset(client->conn);
		else if (PQresetStart(client->conn))
			poll_until_open(client->conn, PQresetPoll);
		check_time(began_ms, "PQreset");
		if (PQstatus(client->conn) == CONNECTION_OK)
			break;
		broke(client, "PQreset", PQerrorMessage(client->conn));
		if (attempt >= (away ? 100 : 1)) {
			wrong("PQreset does not help: %s", PQerrorMessage(client->conn));
			return;
		}
		poll(NULL, 0, away ? 10 : 0);
	}
	be_new(client);
}

static struct client open_client(const char *name)
{
	struct client client = {.name = name};
	long began_ms = clock_ms();

	if (mode == BLOCKING)
		client.conn = PQconnectdb("");
	else {
		client.conn = PQconnectStart("");
		if (PQstatus(client.conn) != CONNECTION_BAD)
			poll_until_open(client.conn, PQconnectPoll);
	}
	check_time(began_ms, "connecting");
	if (PQstatus(client.conn) != CONNECTION_OK) {
		broke(&client, "connecting", PQerrorMessage(client.conn));
		bring_back(&client);
	}
	return client;
}

static void finish(struct client *client)
{
	PQfinish(client->conn);
	client->conn = NULL;
}

/* ---- Statements ---- */

/* What a statement gave: the values of all rows, or a failure. */
struct answer {
	char text[4000];
	char error[1000];
	bool failed, copying;
};

static void note_result(struct answer *answer, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);
	size_t used = strlen(answer->text);

	for (int row = 0; row < PQntuples(result); row++)
		for (int column = 0; column < PQnfields(result); column++) {
			bool null = PQgetisnull(result, row, column);

			used += (size_t)snprintf(answer->text + used, sizeof answer->text - used,
			    "%s%s", used ? "|" : "", null ? "-" : PQgetvalue(result, row, column));
			if (used >= sizeof answer->text)
				used = sizeof answer->text - 1;
		}
	answer->copying = status == PGRES_COPY_IN || status == PGRES_COPY_OUT;
	if (!result || status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
		answer->failed = true;
		snprintf(answer->error, sizeof answer->error, "%s", PQresultErrorMessage(result));
	}
	PQclear(result);
}

/* False when the connection is broken. */
static bool wait_readable(PGconn *conn, int flushed)
{
	return wait_for(conn, (short)(POLLIN | (flushed == 1 ? POLLOUT : 0))) &&
	       PQconsumeInput(conn) == 1;
}

static PGresult *poll_result(PGconn *conn)
{
	for (;;) {
		int flushed = PQflush(conn);

		if (flushed == 0 && !PQisBusy(conn))
			break;
		if (flushed < 0 || !wait_readable(conn, flushed))
			break; /* PQgetResult says why */
	}
	return PQgetResult(conn);
}

static void collect(struct client *client, struct answer *answer, bool sent)
{
	PGresult *result;

	answer->failed |= !sent;
	if (!sent)
		return;
	if (mode == ROW_BY_ROW)
		PQsetSingleRowMode(client->conn);
	while (!answer->copying && (result = poll_result(client->conn)))
		note_result(answer, result);
}

/* A failure must be that of a connection that is gone, which is what libpq then shows. */
static bool succeeded(struct client *client, struct answer *answer, const char *what)
{
	if (!answer->failed)
		return true;
	const char *message = answer->error[0] ? answer->error : PQerrorMessage(client->conn);
	if (PQstatus(client->conn) == CONNECTION_OK)
		wrong("%s failed on a living connection: %s", what, message);
	broke(client, what, message);
	return false;
}

static bool run(struct client *client, const char *query, struct answer *answer)
{
	long began_ms = clock_ms();

	*answer = (struct answer){0};
	if (mode == BLOCKING)
		note_result(answer, PQexec(client->conn, query));
	else {
		PQsetnonblocking(client->conn, 1);
		collect(client, answer, PQsendQuery(client->conn, query) == 1);
	}
	check_time(began_ms, query);
	return succeeded(client, answer, query);
}

/* The same, with what it must give; NULL for nothing. */
static bool expect(struct client *client, const char *query, const char *expected)
{
	struct answer answer;

	if (!run(client, query, &answer))
		return false;
	if (strcmp(answer.text, expected ? expected : "") != 0)
		wrong("%s gave %.200s instead of %s", query, answer.text, expected);
	return true;
}

static bool execute(struct client *client, const char *statement, const char *expected)
{
	struct answer answer = {0};
	long began_ms = clock_ms();

	if (mode == BLOCKING)
		note_result(
		    &answer, PQexecPrepared(client->conn, statement, 0, NULL, NULL, NULL, 0));
	else
		collect(client, &answer,
		    PQsendQueryPrepared(client->conn, statement, 0, NULL, NULL, NULL, 0) == 1);
	check_time(began_ms, statement);
	if (!succeeded(client, &answer, statement))
		return false;
	if (strcmp(answer.text, expected) != 0)
		wrong("%s gave %.200s instead of %s", statement, answer.text, expected);
	return true;
}

static bool prepare(struct client *client, const char *statement, const char *query)
{
	struct answer answer = {0};

	if (mode == BLOCKING)
		note_result(&answer, PQprepare(client->conn, statement, query, 0, NULL));
	else
		collect(
		    client, &answer, PQsendPrepare(client->conn, statement, query, 0, NULL) == 1);
	return succeeded(client, &answer, "preparing");
}

/* ---- State ---- */

/* All of it: what is there must be there, what is not must not. */
static bool check_state(struct client *client)
{
	static const char look[] =
	    "/* MOMENT query */ SELECT current_setting('work_mem'), "
	    "current_setting('application_name'), current_setting('app.v', true), "
	    "(SELECT string_agg(name, ',' ORDER BY name) FROM pg_prepared_statements)";
	char expected[200];

	snprintf(expected, sizeof expected, "%s|%s|%s|%s", client->memory ? client->memory : "4MB",
	    client->named ? client->name : "", client->custom ? client->custom : "-",
	    client->prepared_too ? "p,q"
	    : client->prepared   ? "p"
				 : "-");
	bool good = expect(client, look, expected);
	if (good && client->prepared)
		good = execute(client, "p", "1");
	if (good && client->prepared_too)
		good = execute(client, "q", "2");
	return good;
}

/* Sets everything, step by step, so that a step that fails is known to be missing. */
static bool set_state(struct client *client)
{
	char query[200];

	if (!expect(client, "/* MOMENT query */ SET work_mem = '7MB'", NULL))
		return false;
	client->memory = "7MB";
	snprintf(
	    query, sizeof query, "/* MOMENT query */ SET application_name = '%s'", client->name);
	if (!expect(client, query, NULL))
		return false;
	client->named = true;
	const char *custom = client->name[0] == 'a' ? "of a" : "of b";
	snprintf(query, sizeof query, "/* MOMENT query */ SELECT set_config('app.v', '%s', false)",
	    custom);
	if (!expect(client, query, custom))
		return false;
	client->custom = custom;
	if (!expect(client, "PREPARE p AS SELECT 1 /* MOMENT query */", NULL))
		return false;
	client->prepared = true;
	if (!prepare(client, "q", "/* MOMENT query */ SELECT 2"))
		return false;
	client->prepared_too = true;
	return true;
}

/* Does something that may break the session, and if it does, repairs it and looks whether it is new. */
static void go(struct client *client, bool (*something)(struct client *))
{
	for (int attempt = 0; attempt < (away ? 100 : 4); attempt++) {
		if (something(client))
			return;
		bring_back(client);
		if (verdict->wrong[0])
			return;
	}
	wrong("%s never works again", client->name);
}

/* ---- Transactions and COPY, whose outcome the server knows ---- */

static void note_rows(int unit, const char *outcome)
{
	size_t used = strlen(verdict->rows);

	snprintf(verdict->rows + used, sizeof verdict->rows - used, "rows %s.%d %s\n", case_name,
	    unit, outcome);
}

static int units;

static bool transact(struct client *client)
{
	char query[200];
	int unit = ++units;

	if (!expect(client, "/* MOMENT transaction */ BEGIN", NULL))
		return false;
	for (int i = 0; i < ROWS; i++) {
		snprintf(query, sizeof query,
		    "/* MOMENT transaction */ INSERT INTO faults VALUES ('%s.%d', %d)", case_name,
		    unit, i);
		if (!expect(client, query, NULL)) {
			note_rows(unit, "none");
			return false;
		}
		if (PQtransactionStatus(client->conn) != PQTRANS_INTRANS)
			wrong("the transaction is gone");
	}
	bool good = expect(client, "/* MOMENT transaction */ COMMIT", NULL);
	note_rows(unit, good ? "all" : "either");
	return good;
}

/* 1 when it is done, -1 when it failed. */
static int put(struct client *client, const char *line)
{
	int done;

	while ((done = line ? PQputCopyData(client->conn, line, (int)strlen(line))
			    : PQputCopyEnd(client->conn, NULL)) == 0)
		wait_readable(client->conn, 1);
	if (mode != BLOCKING)
		PQflush(client->conn);
	return done;
}

/* The result of a COPY that is over, one way or the other. */
static bool end_copy(struct client *client, bool good, const char *what)
{
	struct answer answer = {.failed = !good};
	PGresult *result;

	if (!good)
		snprintf(answer.error, sizeof answer.error, "%s", PQerrorMessage(client->conn));
	while (
	    (result = mode == BLOCKING ? PQgetResult(client->conn) : poll_result(client->conn))) {
		ExecStatusType status = PQresultStatus(result);

		note_result(&answer, result);
		if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT) {
			if (PQstatus(client->conn) == CONNECTION_OK)
				wrong("%s has not ended", what);
			answer.failed = true;
			break;
		}
	}
	return succeeded(client, &answer, what);
}

static bool copy_in(struct client *client)
{
	char line[100];
	struct answer answer;
	int unit = ++units;
	bool good = true;

	if (!run(client, "/* MOMENT in */ COPY faults FROM STDIN", &answer))
		return false;
	for (int i = 0; i < ROWS && good; i++) {
		snprintf(line, sizeof line, "%s.%d\t%d\n", case_name, unit, i);
		good = put(client, line) == 1;
	}
	bool began_to_end = good;
	good = good && put(client, NULL) == 1;
	good = end_copy(client, good, "COPY FROM STDIN");
	note_rows(unit, good ? "all" : began_to_end ? "either" : "none");
	return good;
}

static bool copy_out(struct client *client)
{
	struct answer answer;
	char *line, expected[20];
	int got, lines = 0;

	if (!run(client, "/* MOMENT out */ COPY (SELECT generate_series(1, 9)) TO STDOUT", &answer))
		return false;
	while ((got = PQgetCopyData(client->conn, &line, mode != BLOCKING)) >= 0) {
		if (got == 0) {
			if (!wait_readable(client->conn, 0))
				break;
			continue;
		}
		snprintf(expected, sizeof expected, "%d\n", ++lines);
		if (strcmp(line, expected) != 0)
			wrong("line %d of COPY TO STDOUT is %s", lines, line);
		PQfreemem(line);
	}
	bool good = end_copy(client, got == -1, "COPY TO STDOUT");
	if (good && lines != 9)
		wrong("COPY TO STDOUT gave %d lines", lines);
	return good;
}

static bool many_rows(struct client *client)
{
	return expect(
	    client, "/* MOMENT rows */ SELECT generate_series(1, 9)", "1|2|3|4|5|6|7|8|9");
}

/* ---- Scenarios ---- */

static void states(void)
{
	struct client a = open_client("a"), b = open_client("b");

	go(&a, set_state);
	go(&b, check_state);
	go(&b, set_state);
	go(&a, check_state);
	go(&b, check_state);
	finish(&a);
	struct client c = open_client("c");
	go(&c, check_state);
	go(&b, check_state);
	finish(&b);
	finish(&c);
}

static void beside(bool (*something)(struct client *))
{
	struct client a = open_client("a"), b = open_client("b");

	go(&b, set_state);
	go(&a, something);
	go(&b, check_state);
	go(&a, something);
	go(&a, check_state);
	finish(&a);
	finish(&b);
}

static void transactions(void)
{
	beside(transact);
}

static void copies_in(void)
{
	beside(copy_in);
}

static void copies_out(void)
{
	beside(copy_out);
}

static void rows(void)
{
	beside(many_rows);
}

static bool begin(struct client *client)
{
	return expect(client, "/* MOMENT transaction */ BEGIN", NULL);
}

/* One after the other, on backends that were used before; the state of none is seen by the next. */
static void finishes(void)
{
	for (int i = 0; i < 3; i++) {
		struct client a = open_client("a");

		go(&a, check_state);
		go(&a, i == 1 ? begin : set_state);
		finish(&a);
	}
	struct client b = open_client("b");
	go(&b, check_state);
	finish(&b);
}

static const struct {
	const char *name;
	void (*run)(void);
} scenarios[] = {{"states", states}, {"transactions", transactions}, {"copies-in", copies_in},
    {"copies-out", copies_out}, {"rows", rows}, {"finishes", finishes}};

/* ---- Cases ---- */

static FILE *to_proxy, *from_proxy;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void start_proxy(char *proxy, char *server)
{
	int commands[2], answers[2];
	char port[20];

	if (pipe(commands) != 0 || pipe(answers) != 0)
		die("pipe");
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		dup2(commands[0], 0);
		dup2(answers[1], 1);
		close(commands[1]);
		unsetenv("LD_PRELOAD");
		execl(proxy, proxy, server, (char *)NULL);
		_exit(127);
	}
	close(commands[0]);
	close(answers[1]);
	to_proxy = fdopen(commands[1], "w");
	from_proxy = fdopen(answers[0], "r");
	if (!fgets(port, sizeof port, from_proxy))
		die(proxy);
	port[strcspn(port, "\n")] = '\0';
	setenv("PGHOST", "127.0.0.1", 1);
	setenv("PGPORT", port, 1);
	setenv("PGSSLMODE", "disable", 1);
	setenv("PGGSSENCMODE", "disable", 1);
}

/* What the proxy says of a case. */
struct report {
	char hit;
	size_t peak;
	char servers[MOST_MESSAGES + 1], clients[MOST_MESSAGES + 1];
};

static void tell_proxy(const char *command)
{
	fputs(command, to_proxy);
	fflush(to_proxy);
}

static void arm(const char *kind, long number)
{
	char command[60];

	snprintf(command, sizeof command, "arm %s %ld\n", kind, number);
	tell_proxy(command);
	if (fscanf(from_proxy, " %59s", command) != 1)
		die("the proxy is gone");
}

static void end(struct report *report)
{
	tell_proxy("end\n");
	if (fscanf(from_proxy, " %c %zu %100000[^.]. %100000[^.].", &report->hit, &report->peak,
		report->servers, report->clients) != 4)
		die("the proxy is gone");
}

/* In a process of its own, whose end is part of the case. */
static void play(size_t scenario, struct report *report)
{
	*verdict = (struct verdict){0};
	fflush(stdout);
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		alarm(WATCHDOG_S);
		scenarios[scenario].run();
		verdict->done = true;
		exit(0);
	}
	int status;
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		wrong(WTERMSIG(status) == SIGALRM ? "it hangs" : "it crashed: signal %d",
		    WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0 || !verdict->done)
		wrong("it ended with status %d", WEXITSTATUS(status));
	end(report);
}

/* How often the program may see a failure for one fault. */
static void judge(const struct report *report)
{
	/* What breaks while a session is put on a backend, or a backend is at nobody's, is unseen. */
	int most = strchr("sb", report->hit) ? 0 : 1;

	if (report->peak > (size_t)limit)
		wrong("%zu server processes at once", report->peak);
	if (report->hit == '-' && verdict->failures > 0)
		wrong("%d failures without a fault", verdict->failures);
	else if (!away && report->hit != '-' && verdict->failures > most)
		wrong("%d failures for one fault", verdict->failures);
}

/*
 * Of what it waits for by itself, a program is left waiting by libpq, too; and PQconnectPoll does
 * not know of a timeout. Nor is there one for examining: a pooler may have no place for the first
 * question yet.
 */
static bool may_swallow(char class)
{
	return strchr("sbp", class) || (mode == BLOCKING && class == 'c');
}

static void play_case(size_t scenario, const char *kind, long number)
{
	static struct report report;

	away = strcmp(kind, "away") == 0;
	arm(kind, number);
	play(scenario, &report);
	judge(&report);
	printf("%s %s %s %c %s %s %d %s\n", case_name, verdict->wrong[0] ? "WRONG" : "right", kind,
	    report.hit, scenarios[scenario].name, mode_names[mode], verdict->failures,
	    verdict->wrong);
	printf("%s", verdict->rows);
}

static const char *const kinds[] = {
    "close", "middle", "unsent", "reset", "stall", "away", "swallow"};
#define KINDS (sizeof kinds / sizeof *kinds)

static const char *choose_kind(int which, long *number, const struct report *whole)
{
	const char *kind = kinds[(size_t)which % KINDS];
	long servers = (long)strlen(whole->servers), sent = (long)strlen(whole->clients);

	if (strcmp(kind, "unsent") == 0)
		*number = 1 + (*number - 1) * sent / servers;
	else if (strcmp(kind, "swallow") == 0 && !may_swallow(whole->servers[*number - 1]))
		kind = "reset";
	return kind;
}

/* Every step'th message of all scenarios, in all modes, with the kinds by turns. */
static void play_all(int most, int share, int shares)
{
	static struct report whole[sizeof scenarios / sizeof *scenarios][MODES];
	const size_t count = sizeof scenarios / sizeof *scenarios;
	long messages = 0, passed = 0;

	for (size_t scenario = 0; scenario < count; scenario++)
		for (mode = 0; mode < MODES; mode++) {
			snprintf(case_name, sizeof case_name, "unbroken-%s-%s",
			    scenarios[scenario].name, mode_names[mode]);
			arm("close", 0);
			play(scenario, &whole[scenario][mode]);
			judge(&whole[scenario][mode]);
			if (verdict->wrong[0])
				printf("- WRONG none - %s %s %d %s\n", scenarios[scenario].name,
				    mode_names[mode], verdict->failures, verdict->wrong);
			printf("%s", verdict->rows);
			messages += (long)strlen(whole[scenario][mode].servers);
		}
	long step = messages / most + 1;
	for (size_t scenario = 0; scenario < count; scenario++)
		for (mode = 0; mode < MODES; mode++) {
			const struct report *report = &whole[scenario][mode];
			long here = (long)strlen(report->servers);

			for (long number = 1; number <= here; number++, passed++) {
				if (passed % step != 0 || cases++ % shares != share)
					continue;
				long which = number;
				const char *kind = choose_kind(cases, &which, report);
				snprintf(case_name, sizeof case_name, "%d", cases);
				play_case(scenario, kind, which);
			}
		}
}

int main(int argc, char **argv)
{
	const char *most_backends = getenv("PQLEASH_LIMIT");
	const char *timeout_s = getenv("PQLEASH_POOL_TIMEOUT");

	if (argc != 6)
		return fputs("usage: faults PROXY SERVER-SOCKET MOST-CASES SHARE SHARES\n", stderr),
		       2;
	limit = most_backends ? atoi(most_backends) : 3;
	slowest_allowed_ms = 1000L * (timeout_s ? atoi(timeout_s) : 5) + 2000;
	verdict =
	    mmap(NULL, sizeof *verdict, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (verdict == MAP_FAILED)
		die("mmap");
	setvbuf(stdout, NULL, _IOLBF, 0);
	start_proxy(argv[1], argv[2]);
	play_all(atoi(argv[3]), atoi(argv[4]), atoi(argv[5]));
	return 0;
}
