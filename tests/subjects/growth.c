/*
 * Does one thing over and over and tells how much memory and how many descriptors the process has
 * gained by it since a warm-up, in which pools, caches and the allocator find their size.
 *
 * usage: growth WHAT TIMES WARM-UP
 *   churn       connect, ask, finish
 *   start       the same with PQconnectStart, and a descriptor that epoll and a PGcancel know
 *   move        ask one of two sessions, with a state of its own, then the other
 *   leak        connect and ask, never finish
 *   leak-state  the same with a changed session
 *   targets     the same as churn, each time with another application name
 *   failed      connects that the server refuses, and one that libpq refuses
 *   reset       PQreset of one connection
 *   misuse      use after finish, and a second finish
 */
#include <libpq-fe.h>
#include <dirent.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static long failures;
static PGconn *lasting;
static int epoll;

static long resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long all, resident = 0;

	if (!file || fscanf(file, "%ld %ld", &all, &resident) != 2)
		resident = -1;
	if (file)
		fclose(file);
	return resident * sysconf(_SC_PAGESIZE);
}

static long open_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	long count = 0;

	while (folder && readdir(folder))
		count++;
	if (folder)
		closedir(folder);
	return count;
}

static void expect(bool right)
{
	failures += !right;
}

static void ask(PGconn *conn, const char *query, const char *expected)
{
	PGresult *result = PQexec(conn, query);

	expect(PQresultStatus(result) == PGRES_TUPLES_OK &&
	       strcmp(PQgetvalue(result, 0, 0), expected) == 0);
	PQclear(result);
}

static void churn(long number)
{
	PGconn *conn = PQconnectdb("");

	/* What was never used is not reset: both kinds. */
	if (number % 4 == 0)
		ask(conn, "SELECT 1", "1");
	expect(PQstatus(conn) == CONNECTION_OK);
	PQfinish(conn);
}

static void start(long number)
{
	PGconn *conn = PQconnectStart("");
	PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;
	struct epoll_event event = {.events = EPOLLIN};
	PGresult *result;

	while (wanted != PGRES_POLLING_OK && wanted != PGRES_POLLING_FAILED) {
		struct pollfd ready = {.fd = PQsocket(conn),
		    .events = wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT};

		poll(&ready, 1, 10000);
		wanted = PQconnectPoll(conn);
	}
	expect(epoll_ctl(epoll, EPOLL_CTL_ADD, PQsocket(conn), &event) == 0);
	PGcancel *cancel = PQgetCancel(conn);
	expect(PQsendQuery(conn, "SELECT 1") == 1);
	while ((result = PQgetResult(conn)))
		PQclear(result);
	PQfreeCancel(cancel);
	if (number % 2)
		epoll_ctl(epoll, EPOLL_CTL_DEL, PQsocket(conn), NULL);
	PQfinish(conn);
}

static void change(PGconn *conn)
{
	PQclear(PQexec(conn, "SET work_mem = '3MB'"));
	PQclear(PQexec(conn, "SET app.growth = 'here'"));
	PQclear(PQprepare(conn, "p", "SELECT 'prepared'", 0, NULL));
}

/* Below the limit they take turns on a backend. */
static void move(long number)
{
	static PGconn *other;

	if (number == 0)
		change(other = PQconnectdb(""));
	PQclear(PQexec(other, "SELECT 1/0"));
	ask(lasting, "SELECT 1", "1");
	expect(strstr(PQerrorMessage(other), "division by zero") != NULL);
	ask(other, "EXECUTE p", "prepared");
	ask(other, "SHOW app.growth", "here");
	expect(strcmp(PQparameterStatus(other, "client_encoding"), "UTF8") == 0);
}

static void leak(long number)
{
	(void)number;
	PGconn *conn = PQconnectdb("");

	ask(conn, "SELECT 1", "1");
}

static void leak_state(long number)
{
	(void)number;
	change(PQconnectdb(""));
}

static void targets(long number)
{
	char conninfo[64], name[32];

	snprintf(name, sizeof name, "growth %ld", number);
	snprintf(conninfo, sizeof conninfo, "application_name='%s'", name);
	PGconn *conn = PQconnectdb(conninfo);
	ask(conn, "SHOW application_name", name);
	expect(strcmp(PQparameterStatus(conn, "application_name"), name) == 0);
	PQfinish(conn);
}

static void failed(long number)
{
	static const char *const refused[] = {"dbname=nowhere", "nonsense", "host=/nowhere", ""};
	PGconn *conn = PQconnectdb(refused[number % 4]);

	expect((PQstatus(conn) == CONNECTION_BAD) == (number % 4 != 3));
	PQfinish(conn);
}

static void reset(long number)
{
	struct epoll_event event = {.events = EPOLLIN};

	(void)number;
	PQreset(lasting);
	ask(lasting, "SELECT 1", "1");
	epoll_ctl(epoll, EPOLL_CTL_ADD, PQsocket(lasting), &event);
}

static void misuse(long number)
{
	PGconn *conn = PQconnectdb("");

	(void)number;
	PQfinish(conn);
	ask(conn, "SELECT 1", "1");
	PQfinish(conn);
	PQfinish(conn);
}

struct deed {
	const char *name;
	void (*once)(long number);
};

static void do_it(const struct deed *deed, long from, long to)
{
	for (long i = from; i < to; i++)
		deed->once(i);
}

int main(int argc, char **argv)
{
	static const struct deed deeds[] = {{"churn", churn}, {"start", start}, {"move", move},
	    {"leak", leak}, {"leak-state", leak_state}, {"targets", targets}, {"failed", failed},
	    {"reset", reset}, {"misuse", misuse}, {0}};
	const struct deed *deed = deeds;

	while (argc == 4 && deed->name && strcmp(deed->name, argv[1]) != 0)
		deed++;
	if (argc != 4 || !deed->name) {
		fputs("usage: growth WHAT TIMES WARM-UP\n", stderr);
		return 2;
	}
	long times = atol(argv[2]), warm_up = atol(argv[3]);
	epoll = epoll_create1(0);
	lasting = PQconnectdb("");
	do_it(deed, 0, warm_up);
	long descriptors = open_descriptors(), resident = resident_bytes();
	do_it(deed, warm_up, warm_up + times);
	printf("%ld bytes, %ld descriptors, %ld failures\n", resident_bytes() - resident,
	    open_descriptors() - descriptors, failures);
	PQfinish(lasting);
	return failures ? 1 : 0;
}
