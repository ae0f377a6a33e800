/*
 * Tenants: each sees its own documents only.
 *
 * Connections: one for each tenant, kept open side by side, as the application server does it.
 * Who a connection belongs to is a setting of its session (app.tenant), and support staff work
 * with SET ROLE. None is ever closed.
 */
#include "db.h"
#include "suites.h"

#define TENANTS 6
#define ROUNDS 3

static const char *const names[TENANTS] = {"acme", "bolt", "crow", "dune", "echo", "fern"};

static PGconn *conns[TENANTS];

/* Tenant number n (from 0) has n + 1 documents. */
static void create_documents(PGconn *conn)
{
	REQUIRE_DB(
	    conn, db_schema(conn, "tenants",
		      "DO $$ BEGIN"
		      "  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'legacy_support')"
		      "  THEN CREATE ROLE legacy_support NOLOGIN; END IF; END $$;"
		      "CREATE TABLE tenants.document (tenant text NOT NULL, title text NOT NULL);"
		      "CREATE VIEW tenants.my_document AS SELECT title FROM tenants.document"
		      "  WHERE tenant = current_setting('app.tenant');"
		      "GRANT USAGE ON SCHEMA tenants TO legacy_support;"
		      "GRANT SELECT ON tenants.my_document TO legacy_support;"
		      "INSERT INTO tenants.document SELECT t.name, 'document ' || d"
		      "  FROM unnest('{acme,bolt,crow,dune,echo,fern}'::text[])"
		      "    WITH ORDINALITY t (name, n), generate_series(1, n) d"));
}

static void log_in_tenants(void)
{
	for (int i = 0; i < TENANTS; i++) {
		conns[i] = PQconnectdb("");
		CHECK_DB(conns[i], db_ok(conns[i]));
		if (i == 0)
			create_documents(conns[0]);
		CHECK_DB(conns[i], db_execf(conns[i], "SET app.tenant = '%s'", names[i]));
	}
}

static void check_each_sees_its_own(void)
{
	for (int i = 0; i < TENANTS; i++) {
		CHECK_VALUE(conns[i], names[i], "SELECT current_setting('app.tenant')");
		CHECK_NUMBER(conns[i], i + 1, "SELECT count(*) FROM tenants.my_document");
	}
}

static void check_support_may_only_read(void)
{
	PGconn *support = conns[2];

	CHECK_DB(support, db_exec(support, "SET ROLE legacy_support"));
	CHECK_NUMBER(conns[0], 1, "SELECT count(*) FROM tenants.my_document");
	CHECK_VALUE(support, "legacy_support", "SELECT current_user");
	CHECK(db_fails(support, "42501", "DELETE FROM tenants.document"));
	CHECK_NUMBER(support, 3, "SELECT count(*) FROM tenants.my_document");
}

static void run(void)
{
	log_in_tenants();
	for (int round = 0; round < ROUNDS; round++)
		check_each_sees_its_own();
	check_support_may_only_read();
}

const struct suite tenants_suite = {"tenants", 54, run};
