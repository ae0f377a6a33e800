/*
 * Monthly reports, put together in a temporary table.
 *
 * Connections: one owns the temporary table through the whole suite. Every branch reports over a
 * connection of its own, with application_name set for the DBA's statistics; none is closed.
 */
#include "db.h"
#include "suites.h"

#define BRANCHES 21

static PGconn *report;

static PGconn *open_for_reports(void)
{
	static const char *const keywords[] = {"application_name", NULL};
	static const char *const values[] = {"reports", NULL};

	return PQconnectdbParams(keywords, values, 0);
}

static void begin_report(void)
{
	report = open_for_reports();
	REQUIRE_DB(
	    report, db_schema(report, "reports",
			"CREATE TABLE reports.sale (branch int, amount int);"
			"INSERT INTO reports.sale SELECT b, b * a FROM generate_series(1, 21) b,"
			"  generate_series(1, 4) a"));
	REQUIRE_DB(report,
	    db_exec(report, "CREATE TEMPORARY TABLE monthly (branch int PRIMARY KEY, total int)"));
}

static void report_branch(int branch)
{
	PGconn *sales = open_for_reports();

	CHECK_NUMBER(
	    sales, 10L * branch, "SELECT sum(amount) FROM reports.sale WHERE branch = %d", branch);
	CHECK_NUMBER(report, branch,
	    "WITH added AS (INSERT INTO monthly SELECT branch, sum(amount) FROM reports.sale"
	    "  WHERE branch = %d GROUP BY branch)"
	    "SELECT count(*) + 1 FROM monthly",
	    branch);
}

static void check_report(void)
{
	CHECK_NUMBER(report, BRANCHES, "SELECT count(*) FROM monthly");
	CHECK_VALUE(report, "2310", "SELECT sum(total) FROM monthly");
	CHECK_VALUE(report, "10", "SELECT min(total) FROM monthly");
	CHECK_VALUE(report, "210", "SELECT max(total) FROM monthly");
	CHECK_VALUE(report, "21", "SELECT branch FROM monthly ORDER BY total DESC LIMIT 1");
	CHECK_VALUE(report, "t",
	    "SELECT (SELECT sum(total) FROM monthly) = (SELECT sum(amount) FROM reports.sale)");
}

static void run(void)
{
	begin_report();
	for (int branch = 1; branch <= BRANCHES; branch++)
		report_branch(branch);
	check_report();
}

const struct suite reports_suite = {"reports", 50, run};
