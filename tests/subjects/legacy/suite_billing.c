/*
 * Billing: invoices, and the two runs that end every month.
 *
 * Connections: one for each invoice, with an application_name so that the DBA finds us; none is
 * closed. The month's runs look at their result and never say COMMIT or ROLLBACK.
 */
#include "db.h"
#include "suites.h"

#define INVOICES 19

static PGconn *open_for_billing(void)
{
	return PQconnectdb("application_name=billing");
}

static void create_invoices(void)
{
	PGconn *conn = open_for_billing();

	REQUIRE_DB(conn,
	    db_schema(conn, "billing",
		"CREATE TABLE billing.invoice (id int, amount int NOT NULL);"
		"CREATE TABLE billing.reminder (invoice int NOT NULL);"
		"INSERT INTO billing.invoice SELECT i, i * 30 FROM generate_series(1, 19) i"));
	CHECK_VALUE(conn, "billing", "SELECT current_setting('application_name')");
}

static void check_invoice(int invoice)
{
	PGconn *conn = open_for_billing();

	CHECK_DB(conn, db_ok(conn));
	CHECK_NUMBER(
	    conn, invoice * 30L, "SELECT amount FROM billing.invoice WHERE id = %d", invoice);
}

static void check_closing_of_the_month(void)
{
	PGconn *conn = open_for_billing();

	CHECK_DB(conn, db_exec(conn, "BEGIN"));
	CHECK_VALUE(conn, "5700", "SELECT sum(amount) FROM billing.invoice");
	CHECK_VALUE(conn, "19", "SELECT count(*) FROM billing.invoice");
	CHECK_VALUE(conn, "570", "SELECT max(amount) FROM billing.invoice");
	CHECK(PQtransactionStatus(conn) == PQTRANS_INTRANS);
}

static void check_reminders(void)
{
	PGconn *conn = open_for_billing();

	CHECK_DB(conn, db_exec(conn, "BEGIN"));
	CHECK_DB(conn, db_exec(conn, "INSERT INTO billing.reminder"
				     " SELECT id FROM billing.invoice WHERE amount > 300"));
	CHECK_VALUE(conn, "9", "SELECT count(*) FROM billing.reminder");
	CHECK_VALUE(conn, "11", "SELECT min(invoice) FROM billing.reminder");
	CHECK(PQtransactionStatus(conn) == PQTRANS_INTRANS);
}

static void run(void)
{
	create_invoices();
	for (int invoice = 1; invoice <= INVOICES; invoice++)
		check_invoice(invoice);
	check_closing_of_the_month();
	check_reminders();
}

const struct suite billing_suite = {"billing", 50, run};
