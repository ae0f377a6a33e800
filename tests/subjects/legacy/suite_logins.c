/*
 * Logins: who is in, and when they left.
 *
 * Connections: one for each member. log_out() closes it; the check that the member has left is
 * made over that same connection, afterwards.
 */
#include "db.h"
#include "suites.h"

#define MEMBERS 12

struct member {
	int id;
	PGconn *conn;
};

static void create_logins(void)
{
	PGconn *conn = db_open();

	REQUIRE_DB(conn, db_schema(conn, "logins",
			     "CREATE TABLE logins.login (member int, present bool NOT NULL)"));
	PQfinish(conn);
}

static struct member log_in(int id)
{
	struct member member = {.id = id, .conn = db_open()};

	CHECK_DB(member.conn,
	    db_execf(member.conn, "INSERT INTO logins.login VALUES (%d, true)", member.id));
	return member;
}

static void log_out(const struct member *member)
{
	db_execf(
	    member->conn, "UPDATE logins.login SET present = false WHERE member = %d", member->id);
	PQfinish(member->conn);
}

static void check_member(int id)
{
	struct member member = log_in(id);

	log_out(&member);
	CHECK_VALUE(member.conn, "f", "SELECT present FROM logins.login WHERE member = %d", id);
}

static void check_everybody_left(void)
{
	PGconn *conn = db_open();

	CHECK_VALUE(conn, "0", "SELECT count(*) FROM logins.login WHERE present");
	PQfinish(conn);
}

static void run(void)
{
	create_logins();
	for (int id = 1; id <= MEMBERS; id++)
		check_member(id);
	check_everybody_left();
}

const struct suite logins_suite = {"logins", 26, run};
