/*
 * Job queue: only one dispatcher at a time, made sure of by an advisory lock.
 *
 * Connections: the dispatcher's holds the lock, and goes on holding its second one (maintenance)
 * when the suite is over, because nobody closes it. Workers open and close theirs.
 */
#include "db.h"
#include "suites.h"

#define JOBS 12

static PGconn *dispatcher;

static void start_dispatcher(void)
{
	dispatcher = PQconnectdb("");
	REQUIRE_DB(
	    dispatcher, db_schema(dispatcher, "jobs",
			    "CREATE TABLE jobs.job (id int, done bool NOT NULL DEFAULT false);"
			    "INSERT INTO jobs.job SELECT i FROM generate_series(1, 12) i"));
	REQUIRE_DB(dispatcher,
	    db_exec(dispatcher, "SELECT pg_advisory_lock(70001), pg_advisory_lock(70002)"));
}

static void work_on(int job)
{
	PGconn *worker = PQconnectdb("");

	CHECK_VALUE(worker, "f", "SELECT pg_try_advisory_lock(70001)");
	CHECK_NUMBER(worker, JOBS - job + 1, "SELECT count(*) FROM jobs.job WHERE NOT done");
	PQfinish(worker);
	CHECK_NUMBER(
	    dispatcher, job, "UPDATE jobs.job SET done = true WHERE id = %d RETURNING id", job);
}

static void check_next_dispatcher(void)
{
	PGconn *next = PQconnectdb("");

	CHECK_VALUE(next, "t", "SELECT pg_try_advisory_lock(70001)");
	PQfinish(next);
}

static void run(void)
{
	start_dispatcher();
	for (int job = 1; job <= JOBS; job++)
		work_on(job);
	CHECK_VALUE(dispatcher, "t", "SELECT pg_advisory_unlock(70001)");
	check_next_dispatcher();
}

const struct suite jobs_suite = {"jobs", 40, run};
