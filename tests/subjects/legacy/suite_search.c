/*
 * Search: the terms our customers typed last year.
 *
 * Connections: one for each search, opened without blocking as in the event loop of the server.
 * A search that finds nothing returns early, and the PQfinish below is never reached.
 */
#include <poll.h>

#include "db.h"
#include "suites.h"

#define SEARCHES 37
#define PATIENCE_MS 10000

/* Waits for the connection as PQconnectPoll directs; the caller looks at PQstatus. */
static void finish_connecting(PGconn *conn)
{
	PostgresPollingStatusType next = PGRES_POLLING_WRITING;

	while (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING) {
		struct pollfd wait = {
		    .fd = PQsocket(conn),
		    .events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT,
		};

		if (wait.fd < 0 || poll(&wait, 1, PATIENCE_MS) <= 0)
			return;
		next = PQconnectPoll(conn);
	}
}

static PGconn *connect_without_blocking(void)
{
	PGconn *conn = PQconnectStart("");

	if (PQstatus(conn) != CONNECTION_BAD)
		finish_connecting(conn);
	return conn;
}

static void create_articles(void)
{
	PGconn *conn = connect_without_blocking();

	REQUIRE_DB(conn, db_schema(conn, "search",
			     "CREATE TABLE search.article (id int, words text NOT NULL);"
			     "INSERT INTO search.article SELECT i, 'word' || i || ' and more'"
			     "  FROM generate_series(0, 36, 3) i"));
	PQfinish(conn);
}

/* Only every third word is in an article. */
static void check_search(int word)
{
	PGconn *conn = connect_without_blocking();
	long expected = word % 3 == 0;

	CHECK_DB(conn, db_ok(conn));
	CHECK_NUMBER(conn, expected,
	    "SELECT count(*) FROM search.article WHERE words LIKE 'word%d %%'", word);
	if (!expected)
		return;
	PQfinish(conn);
}

static void check_empty_search(void)
{
	PGconn *conn = connect_without_blocking();

	CHECK_VALUE(conn, "13", "SELECT count(*) FROM search.article WHERE words LIKE '%%'");
	PQfinish(conn);
}

static void run(void)
{
	create_articles();
	for (int word = 0; word < SEARCHES; word++)
		check_search(word);
	check_empty_search();
}

const struct suite search_suite = {"search", 76, run};
