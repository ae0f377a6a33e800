/*
 * User preferences.
 *
 * Connections: reads through the one shared connection of db.c (opened here the first time, used
 * by later suites too), with the date format it likes; writes through short ones.
 */
#include <string.h>

#include "db.h"
#include "suites.h"

#define USERS 11

static void create_preferences(void)
{
	PGconn *conn = db_open();

	REQUIRE_DB(
	    conn, db_schema(conn, "preferences",
		      "CREATE TABLE preferences.preference (member int, theme text NOT NULL,"
		      "  since date NOT NULL);"
		      "INSERT INTO preferences.preference"
		      "  SELECT i, 'light', DATE '2009-03-01' + i FROM generate_series(1, 11) i"));
	PQfinish(conn);
}

static void check_change_of_theme(int member)
{
	PGconn *writer = db_open();

	CHECK_VALUE(
	    writer, "light", "SELECT theme FROM preferences.preference WHERE member = %d", member);
	db_execf(
	    writer, "UPDATE preferences.preference SET theme = 'dark' WHERE member = %d", member);
	PQfinish(writer);

	CHECK_VALUE(db_shared(), "dark",
	    "SELECT theme FROM preferences.preference WHERE member = %d", member);
	CHECK_NUMBER(db_shared(), member + 1,
	    "SELECT left(since::text, 2)::int FROM preferences.preference WHERE member = %d",
	    member);
}

static bool format_is_german(PGconn *conn)
{
	const char *format = PQparameterStatus(conn, "DateStyle");

	return format && strncmp(format, "German", 6) == 0;
}

static void run(void)
{
	create_preferences();
	CHECK_DB(db_shared(), db_exec(db_shared(), "SET DateStyle = 'German'"));
	for (int member = 1; member <= USERS; member++)
		check_change_of_theme(member);
	CHECK(format_is_german(db_shared()));
}

const struct suite preferences_suite = {"preferences", 36, run};
