/*
 * Fingerprints of server-side state. A capture (park.c) asks pg_settings, which takes the server
 * three times as long as SHOW ALL; most sessions that are moved again and again have changed nothing
 * since the last time, and then a hash of the cheaper answers is enough to know. Owns that question;
 * decides nothing about who is moved.
 *
 * What it cannot tell: a setting that was set to the value it had anyway. Who asks has seen no SET
 * since the capture (see STATEMENT_SETS).
 */
#include "fingerprint.h"
#include "backend.h"
#include "pool.h"
#include "statement.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

enum column { ROLE, SESSION_AUTHORIZATION, TEMPORARY_SCHEMA };

/* One row. With what follows one message, hence one transaction. */
static const char state_query[] =
    "SELECT pg_catalog.current_setting('role'), "
    "pg_catalog.current_setting('session_authorization'), "
    "pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.<>) 0::pg_catalog.oid, "
    "EXISTS (SELECT FROM pg_catalog.pg_lock_status() "
    "WHERE locktype OPERATOR(pg_catalog.=) 'advisory' "
    "AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()), "
    "EXISTS (SELECT FROM pg_catalog.pg_cursor() WHERE is_holdable), "
    "EXISTS (SELECT FROM pg_catalog.pg_listening_channels()), "
    "(SELECT pg_catalog.string_agg(ROW(name, statement, parameter_types::pg_catalog.oid[], "
    "from_sql)::pg_catalog.text, ',') FROM pg_catalog.pg_prepared_statement())";

/*
 * A backend that has had temporary objects keeps the schema for them: only there the catalog has to
 * be searched.
 */
static const char temporary_query[] =
    ", EXISTS (SELECT FROM pg_catalog.pg_depend WHERE refclassid OPERATOR(pg_catalog.=) "
    "2615::pg_catalog.oid AND refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())";

/* Always in the same order, and one more row for each that a library brings when it is loaded. */
static const char settings_query[] = "; SHOW ALL";
#define VALUE 1

static char *write_query(const struct backend *backend, size_t customs)
{
	struct text query = {0};

	text_add(&query, "%s%s%s", backend_isolation(backend), state_query,
	    backend->has_temporary ? temporary_query : "");
	for (size_t i = 0; i < customs; i++)
		text_add(&query, ", pg_catalog.current_setting('%s', true)", custom_name(i));
	text_add(&query, "%s", settings_query);
	return text_take(&query);
}

static void mix_word(struct fingerprint *fingerprint, uint64_t word)
{
	static const uint64_t factors[2] = {0x9e3779b97f4a7c15, 0xd6e8feb86659fd93};

	for (int half = 0; half < 2; half++) {
		uint64_t mixed = (fingerprint->halves[half] ^ word) * factors[half];

		fingerprint->halves[half] = mixed ^ mixed >> 32;
	}
}

static void mix_cell(struct fingerprint *fingerprint, const PGresult *answer, int row, int column)
{
	const char *bytes = REAL(PQgetvalue)(answer, row, column);
	size_t length = (size_t)REAL(PQgetlength)(answer, row, column);

	mix_word(fingerprint, REAL(PQgetisnull)(answer, row, column) ? UINT64_MAX : length);
	for (size_t at = 0; at < length; at += sizeof(uint64_t)) {
		uint64_t word = 0;

		memcpy(&word, bytes + at, length - at < sizeof word ? length - at : sizeof word);
		mix_word(fingerprint, word);
	}
}

static void mix_row(struct fingerprint *fingerprint, const PGresult *row)
{
	for (int column = 0; column < REAL(PQnfields)(row); column++)
		mix_cell(fingerprint, row, 0, column);
}

static void mix_values(struct fingerprint *fingerprint, const PGresult *settings)
{
	for (int row = 0; row < REAL(PQntuples)(settings); row++)
		mix_cell(fingerprint, settings, row, VALUE);
}

/* Another role may not see every setting; where there may be temporary objects, ask for them, too. */
static bool tells_all(struct backend *backend, const PGresult *row)
{
	bool asked = backend->has_temporary;

	if (REAL(PQntuples)(row) != 1 || REAL(PQnfields)(row) <= TEMPORARY_SCHEMA)
		return false;
	backend->has_temporary = REAL(PQgetvalue)(row, 0, TEMPORARY_SCHEMA)[0] == 't';
	return strcmp(REAL(PQgetvalue)(row, 0, ROLE), "none") == 0 &&
	       strcmp(REAL(PQgetvalue)(row, 0, SESSION_AUTHORIZATION),
		   REAL(PQuser)(backend->conn)) == 0 &&
	       (asked || !backend->has_temporary);
}

/* The row, and then the settings: nothing else may come, nor less. */
static bool take_in(
    struct fingerprint *fingerprint, struct backend *backend, const PGresult *answer, int number)
{
	if (number == 0 && tells_all(backend, answer))
		mix_row(fingerprint, answer);
	else if (number == 1 && REAL(PQnfields)(answer) > VALUE)
		mix_values(fingerprint, answer);
	else
		return false;
	return true;
}
#define ANSWERS 2

static bool read_answers(struct fingerprint *fingerprint, struct backend *backend)
{
	PGresult *answer;
	int count = 0;
	bool good = true;

	while ((answer = backend_next_result(backend))) {
		ExecStatusType status = REAL(PQresultStatus)(answer);

		if (status == PGRES_TUPLES_OK)
			good &= take_in(fingerprint, backend, answer, count++);
		else
			good &= status == PGRES_COMMAND_OK;
		REAL(PQclear)(answer);
		if (REAL(PQstatus)(backend->conn) != CONNECTION_OK)
			return false;
	}
	return good && count == ANSWERS;
}

bool fingerprint_take(struct fingerprint *fingerprint, struct backend *backend)
{
	struct fingerprint taken = {
	    .generation = pool_generation(), .customs = (uint32_t)custom_count()};
	char *query = write_query(backend, taken.customs);

	backend_talk(backend);
	taken.taken =
	    query && REAL(PQsendQuery)(backend->conn, query) && read_answers(&taken, backend);
	free(query);
	*fingerprint = taken;
	return taken.taken;
}

bool fingerprint_is_fresh(const struct fingerprint *fingerprint)
{
	return fingerprint->taken && fingerprint->generation == pool_generation() &&
	       fingerprint->customs == custom_count();
}

bool fingerprint_matches(const struct fingerprint *one, const struct fingerprint *other)
{
	return one->taken && other->taken && one->halves[0] == other->halves[0] &&
	       one->halves[1] == other->halves[1] && one->generation == other->generation &&
	       one->customs == other->customs;
}
