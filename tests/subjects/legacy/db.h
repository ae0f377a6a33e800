/*
 * Database helpers for the suites: open a connection, run a statement, read a value.
 *
 * Every helper takes a connection that may be bad, or NULL, and then says false or NULL.
 */
#ifndef LEGACY_DB_H
#define LEGACY_DB_H

#include <stdbool.h>
#include <libpq-fe.h>

/* A new connection with the parameters of the environment. Closing it is the caller's business. */
PGconn *db_open(void);

/* One connection for everybody, opened the first time somebody asks for it. */
PGconn *db_shared(void);

bool db_ok(PGconn *conn);

/* True if the statements (one or several) all succeeded. */
bool db_exec(PGconn *conn, const char *sql);
bool db_execf(PGconn *conn, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* True if the statement failed with this SQLSTATE. */
bool db_fails(PGconn *conn, const char *sqlstate, const char *sql);

/*
 * The first value of the first row: "(null)" for an SQL null, "(no rows)" without a row, NULL
 * when the query failed. The buffer is static: it holds until the next call.
 */
const char *db_value(PGconn *conn, const char *sql);

/* Makes the schema anew, drops what an earlier run left in it, and runs the statements in ddl. */
bool db_schema(PGconn *conn, const char *schema, const char *ddl);

#endif
