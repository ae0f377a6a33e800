/*
 * Works with three connections, and knows the right answer to everything it asks. An answer may be
 * missing, if the reason given is that there was no memory; a wrong one never may. What failed is
 * done again, and must succeed then. Says "right", and how often it was refused.
 *   starved [anything]  refusals for any reason will do
 */
#include <errno.h>
#include <libpq-fe.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define CONNECTIONS 3
#define MOST_REFUSALS 8

static bool any_reason;
static int refusals;

static void wrong(const char *format, ...)
{
	va_list arguments;

	printf("wrong: ");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
	exit(1);
}

static void refused(const char *what, const char *why)
{
	if (!any_reason && !strstr(why, "memory"))
		wrong("%s: %s", what, why);
	if (++refusals > MOST_REFUSALS)
		wrong("%s is refused again and again: %s", what, why);
}

static PGconn *connect_to(const char *name)
{
	const char *keywords[] = {"application_name", "options", NULL};
	const char *values[] = {name, "-c geqo_seed=0.5", NULL};

	for (;;) {
		PGconn *conn = PQconnectdbParams(keywords, values, 0);

		if (PQstatus(conn) == CONNECTION_OK)
			return conn;
		refused("connect", PQerrorMessage(conn));
		PQfinish(conn);
	}
}

/* A broken connection is reset, and has forgotten what was set. */
static void revive(PGconn *conn)
{
	while (PQstatus(conn) != CONNECTION_OK) {
		PQreset(conn);
		if (PQstatus(conn) != CONNECTION_OK)
			refused("reset", PQerrorMessage(conn));
	}
}

/* Once: NULL when it was refused. */
static PGresult *try(PGconn *conn, const char *what, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return result;
	refused(what, result && PQresultErrorMessage(result)[0] ? PQresultErrorMessage(result)
								: PQerrorMessage(conn));
	PQclear(result);
	return NULL;
}

static bool expect(PGconn *conn, const char *what, PGresult *tried, const char *right)
{
	PGresult *result = try(conn, what, tried);

	if (!result)
		return false;
	if (PQntuples(result) != 1 || strcmp(PQgetvalue(result, 0, 0), right) != 0)
		wrong("%s is %s, not %s", what,
		    PQntuples(result) ? PQgetvalue(result, 0, 0) : "none", right);
	PQclear(result);
	return true;
}

static bool done(PGconn *conn, const char *what, PGresult *tried)
{
	PGresult *result = try(conn, what, tried);

	PQclear(result);
	return result != NULL;
}

/* State of its own; what a refused attempt has done does no harm to the next. */
static void set_up(PGconn *conn, int which)
{
	char set[64], custom[64], prepare[64];

	snprintf(set, sizeof set, "SET work_mem = '%dMB'", which + 10);
	snprintf(custom, sizeof custom, "SET starved.custom = 'custom %d'", which);
	snprintf(prepare, sizeof prepare, "SELECT 'prepared %d' || $1::int", which);
	for (;;) {
		revive(conn);
		if (done(conn, "SET", PQexec(conn, set)) &&
		    done(conn, "custom", PQexec(conn, custom)) &&
		    done(conn, "DEALLOCATE", PQexec(conn, "DEALLOCATE ALL")) &&
		    done(conn, "PREPARE", PQprepare(conn, "prepared", prepare, 0, NULL)))
			return;
	}
}

static bool as_it_was(PGconn *conn, int which)
{
	char work_mem[64], custom[64], prepared[64];
	const char *const one = "1";

	snprintf(work_mem, sizeof work_mem, "%dMB", which + 10);
	snprintf(custom, sizeof custom, "custom %d", which);
	snprintf(prepared, sizeof prepared, "prepared %d1", which);
	return expect(conn, "work_mem", PQexec(conn, "SHOW work_mem"), work_mem) &&
	       expect(conn, "custom", PQexec(conn, "SHOW starved.custom"), custom) &&
	       expect(conn, "prepared", PQexecPrepared(conn, "prepared", 1, &one, NULL, NULL, 0),
		   prepared);
}

/* A connection whose state is gone must be broken: it is made anew then. */
static void check_state(PGconn *conn, int which)
{
	while (!as_it_was(conn, which))
		if (PQstatus(conn) != CONNECTION_OK)
			set_up(conn, which);
}

static void check_facts(PGconn *conn, const char *name)
{
	const char *db = PQdb(conn), *user = PQuser(conn);
	const char *shown = PQparameterStatus(conn, "application_name");
	/* libpq itself forgets a parameter's status that it has no memory for. */
	bool may_lack = any_reason && !shown;
	if (PQstatus(conn) == CONNECTION_OK &&
	    (!db || !user || (!may_lack && (!shown || strcmp(shown, name) != 0))))
		wrong("facts are %s, %s, %s", db, user, shown);
	PQconninfoOption *options = PQconninfo(conn);
	if (!options && PQstatus(conn) == CONNECTION_OK)
		refused("PQconninfo", "out of memory");
	PQconninfoFree(options);
	char *literal = PQescapeLiteral(conn, "it's", 4);
	if (!literal)
		refused("PQescapeLiteral", PQerrorMessage(conn));
	else if (strcmp(literal, "'it''s'") != 0)
		wrong("a literal is %s", literal);
	PQfreemem(literal);
}

/* A cancel that comes before the statement has begun is lost: as often as it takes. */
static void stop(PGconn *conn)
{
	struct epoll_event event = {.events = EPOLLIN}, got;
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	char why[256] = "";
	PGcancel *cancel;

	while (epoll_ctl(epoll, EPOLL_CTL_ADD, PQsocket(conn), &event) != 0)
		refused("epoll_ctl", errno == ENOMEM ? "no memory" : strerror(errno));
	while (!(cancel = PQgetCancel(conn)))
		refused("PQgetCancel", "out of memory");
	do
		while (!PQcancel(cancel, why, sizeof why))
			refused("PQcancel", why);
	while (epoll_wait(epoll, &got, 1, 20) == 0);
	PQfreeCancel(cancel);
	close(epoll);
}

static void check_cancel(PGconn *conn)
{
	bool stopped = false;
	PGresult *result;

	while (revive(conn), !PQsendQuery(conn, "SELECT pg_sleep(60)"))
		refused("PQsendQuery", PQerrorMessage(conn));
	stop(conn);
	while ((result = PQgetResult(conn))) {
		const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

		if (state && strcmp(state, "57014") == 0)
			stopped = true;
		else
			refused("the cancelled statement", PQresultErrorMessage(result));
		PQclear(result);
	}
	if (!stopped && refusals == 0)
		wrong("a statement was not cancelled");
}

int main(int argc, char **argv)
{
	const char *const names[CONNECTIONS] = {"a", "b", "c"};
	PGconn *conns[CONNECTIONS];

	(void)argv;
	any_reason = argc > 1;
	for (int i = 0; i < CONNECTIONS; i++) {
		conns[i] = connect_to(names[i]);
		set_up(conns[i], i);
	}
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < CONNECTIONS; i++) {
			check_state(conns[i], i);
			check_facts(conns[i], names[i]);
		}
	check_cancel(conns[0]);
	PQreset(conns[1]);
	if (PQstatus(conns[1]) != CONNECTION_OK)
		refused("reset", PQerrorMessage(conns[1]));
	set_up(conns[1], 7);
	check_state(conns[1], 7);
	for (int i = 0; i < CONNECTIONS; i++)
		PQfinish(conns[i]);
	PGconn *last = connect_to("last");
	while (!expect(last, "reused", PQexec(last, "SHOW work_mem"), "4MB"))
		revive(last);
	PQfinish(last);
	printf("right, refused %d times\n", refusals);
	return 0;
}
