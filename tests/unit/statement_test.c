/* What is seen in SQL text, what is not, and the list of custom settings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "apart.h"
#include "session.h"
#include "statement.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* What most of these are about: all but whether there is a SET at all, which one test looks at. */
static unsigned scan(const char *query)
{
	return statement_scan(query) & ~(unsigned)STATEMENT_SETS;
}

static void all_give(const char *const *queries, size_t count, unsigned expected)
{
	for (size_t i = 0; i < count; i++) {
		unsigned flags = scan(queries[i]);

		if (flags != expected)
			fail_msg("flags %u, not %u: %s", flags, expected, queries[i]);
	}
}

#define ALL_GIVE(expected, ...) \
	do { \
		const char *const queries_[] = {__VA_ARGS__}; \
		all_give(queries_, COUNT(queries_), expected); \
	} while (0)

static bool remembered(const char *name)
{
	for (size_t i = 0; i < custom_count(); i++)
		if (strcmp(custom_name(i), name) == 0)
			return true;
	return false;
}

/* Each test uses names of its own: the list is the process's. */
#define REMEMBERS(name, query, expected_flags) \
	do { \
		assert_false(remembered(name)); \
		assert_int_equal(scan(query), expected_flags); \
		if (!remembered(name)) \
			fail_msg("not remembered: %s of %s", name, query); \
	} while (0)

static void remembers_nothing(const char *const *queries, size_t count, unsigned expected)
{
	size_t before = custom_count();

	all_give(queries, count, expected);
	if (custom_count() != before)
		fail_msg("remembered: %s", custom_name(custom_count() - 1));
}

#define REMEMBERS_NOTHING(expected, ...) \
	do { \
		const char *const queries_[] = {__VA_ARGS__}; \
		remembers_nothing(queries_, COUNT(queries_), expected); \
	} while (0)

/* ---- Statements that change what a new connection would see ---- */

static void databases_and_roles_change_logins(void **state)
{
	static const char *const verbs[] = {"CREATE", "ALTER", "DROP", "create", "Alter", "dROP"};
	static const char *const things[] = {
	    "DATABASE", "ROLE", "USER", "GROUP", "database", "Role", "uSER", "group"};

	(void)state;
	for (size_t i = 0; i < COUNT(verbs); i++)
		for (size_t j = 0; j < COUNT(things); j++) {
			char query[64];

			snprintf(query, sizeof query, "%s %s x", verbs[i], things[j]);
			ALL_GIVE(STATEMENT_CHANGES_LOGIN, query);
		}
}

static void alter_system_changes_logins(void **state)
{
	(void)state;
	ALL_GIVE(
	    STATEMENT_CHANGES_LOGIN, "ALTER SYSTEM SET work_mem = 1", "alter system reset all");
	ALL_GIVE(0, "DROP SYSTEM x", "CREATE SYSTEM x", "SYSTEM ALTER");
}

static void the_keywords_may_come_after_blanks_and_comments(void **state)
{
	(void)state;
	ALL_GIVE(STATEMENT_CHANGES_LOGIN, "  \t\r\n\v\f DROP\n\tDATABASE x",
	    "-- DROP TABLE\nDROP DATABASE x", "DROP -- it\n-- all\nDATABASE x",
	    "/**/DROP/**/DATABASE/**/x", "/* a */ /* b */DROP DATABASE x",
	    "/* a /* nested */ comment */ DROP DATABASE x", "/*/**/*/DROP DATABASE x",
	    "/*//**//*/**/*/*/DROP DATABASE x", "/* -- \n*/DROP DATABASE x",
	    "-- /*\nDROP DATABASE x", "/***/DROP DATABASE x", "/* ' */DROP DATABASE x",
	    "DROP/* /* */ -- */ -- */\nDATABASE x", "--\nDROP DATABASE x", "DROP DATABASE",
	    "DROP DATABASE;", "DROP DATABASE\"x\"", "DROP DATABASE(");
}

static void what_is_in_a_comment_is_no_keyword(void **state)
{
	(void)state;
	ALL_GIVE(0, "-- DROP DATABASE x", "/* DROP DATABASE x */",
	    "/* /* */ DROP DATABASE x */ SELECT 1", "DROP /* DATABASE */ TABLE x",
	    "DROP -- DATABASE\nTABLE x", "/* DROP */ DATABASE x");
}

static void other_things_change_no_logins(void **state)
{
	(void)state;
	ALL_GIVE(0, "DROP TABLE database", "DROP TABLE role", "CREATE TABLE \"user\" (x int)",
	    "ALTER TABLE x OWNER TO role", "CREATE INDEX group_index ON x (y)",
	    "SELECT 'DROP DATABASE x'", "SELECT 1; DROP DATABASE x", "COMMENT ON DATABASE x IS 'y'",
	    "GRANT role TO user", "DATABASE DROP x", "DATABASE", "DROP", "CREATE", "ALTER ",
	    "INSERT INTO database VALUES (1)", "EXPLAIN CREATE ROLE x");
}

static void a_keyword_is_a_whole_word(void **state)
{
	(void)state;
	ALL_GIVE(0, "DROPDATABASE x", "DROP DATABASES x", "XDROP DATABASE x", "DROP DATABASE_x",
	    "DROP DATABASE1", "DROP DATABASE$", "DROPX DATABASE", "_DROP DATABASE",
	    "DROP ROLE\xc3\xa9", "DROP \"DATABASE\"", "\"DROP\" DATABASE", "'DROP' DATABASE x");
}

/* ---- SET ---- */

static void a_custom_setting_is_remembered(void **state)
{
	(void)state;
	REMEMBERS("set.plain", "SET set.plain = 1", 0);
	REMEMBERS("set.to", "set set.to TO 'x'", 0);
	REMEMBERS("set.local", "SET LOCAL set.local = 1", 0);
	REMEMBERS("set.session", "set session set.session = 1", 0);
	REMEMBERS("set.blanks", " SeT\n\tlOcAl /* x */ -- y\n set.blanks=1", 0);
	REMEMBERS("set.under_score$1", "SET set.under_score$1 = 1", 0);
	REMEMBERS("_set.b", "SET _set.b = 1", 0);
	REMEMBERS("set.three.parts", "SET set.three.parts = 1", 0);
	REMEMBERS("set.end", "SET set.end", 0);
	REMEMBERS("SET.UPPER", "SET SET.UPPER = 1", 0);
}

static void it_is_remembered_wherever_the_set_stands(void **state)
{
	(void)state;
	REMEMBERS("where.second", "SELECT 1; SET where.second = 1", 0);
	REMEMBERS("where.first", "SET where.first = 1;SET where.third = 2", 0);
	assert_true(remembered("where.third"));
	REMEMBERS("where.block", "DO $$BEGIN SET where.block = 1; END$$", 0);
	REMEMBERS("where.string", "DO 'BEGIN EXECUTE ''SET where.string = 1''; END'", 0);
	REMEMBERS("where.dollar", "DO $$BEGIN EXECUTE $q$SET where.dollar = 1$q$; END$$", 0);
	REMEMBERS("where.function",
	    "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET where.function = 1 AS 'SELECT 1'", 0);
	REMEMBERS("where.comment", "/* x */SET where.comment = 1", 0);
}

/*
 * session.user_id and local.x are ordinary names: the grammar takes SESSION and LOCAL for scopes
 * only before a name.
 */
static void a_prefix_may_be_called_like_a_scope(void **state)
{
	(void)state;
	REMEMBERS("session.user_id", "SET session.user_id = '42'", 0);
	REMEMBERS("local.zone", "SET local.zone = '42'", 0);
	REMEMBERS("session.other", "SET SESSION session.other = '42'", 0);
	REMEMBERS("local.other", "SET LOCAL local.other = '42'", 0);
}

static void ordinary_settings_are_not_remembered(void **state)
{
	(void)state;
	REMEMBERS_NOTHING(0, "SET work_mem = '1MB'", "SET search_path = a, b",
	    "SET search_path TO a.b", "SET LOCAL x = 0.5", "SET SESSION AUTHORIZATION x",
	    "SET TIME ZONE 'x.y'", "SET ROLE x", "SET", "SET ", "SET LOCAL", "SET SESSION",
	    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "RESET a.b", "SHOW a.b",
	    "SET x", "SET = a.b");
}

static void what_is_no_name_is_not_remembered(void **state)
{
	(void)state;
	REMEMBERS_NOTHING(0, "SET 1a.b = 1", "SET .b = 1", "SET a. = 1", "SET . = 1", "set 3.5",
	    "a set. Then", "SET .5", "INSERT INTO t VALUES ('All set now. Go on.')",
	    "INSERT INTO t VALUES ('The set \"one\". See also.')");
}

static void update_is_not_taken_for_a_setting(void **state)
{
	(void)state;
	REMEMBERS_NOTHING(0, "UPDATE t SET a = b.c", "UPDATE t SET a = 1.5",
	    "UPDATE t SET \"col\" = 1", "UPDATE t SET \"col\"='a.b'",
	    "UPDATE t SET \"col\" = \"other\".\"col\"",
	    "UPDATE \"s\".\"t\" SET \"col\" = $1 WHERE x = 'a.b'", "UPDATE t SET (a, b) = (1, 2)",
	    "INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET \"a\" = EXCLUDED.\"a\"",
	    "UPDATE t SET a=EXCLUDED.a", "INSERT INTO t VALUES ('{\"set\": \"a.b\", \"x\": 1}')",
	    "INSERT INTO t VALUES ('{\"set\":\"a.b\"}')", "UPDATE t SET \"\xc3\xa9t\xc3\xa9\" = 1",
	    "UPDATE t SET \xc3\xa9 = 1");
}

/* A byte more than the server keeps. */
#define LONG_NAME "n123456789n123456789n123456789n123456789n123456789n123456789n123"

/* The server knows such a name in a form that this look at the text does not find out: they pin. */
static void a_name_that_cannot_be_read_is_flagged(void **state)
{
	(void)state;
	REMEMBERS_NOTHING(STATEMENT_SETS_UNKNOWN, "SET \xc3\xa9.b = 1", "SET a.\xc3\xa9 = 1",
	    "SET LOCAL \xc3\xa9t\xc3\xa9.b = 1", "SET U&\"a.b\" = 1", "SET \"a\".U&\"b\" = 1",
	    "SET a.U&\"b\" = 1", "SET a." LONG_NAME " = 1", "SET \"a." LONG_NAME "\" = 1",
	    "SET a.\"" LONG_NAME "\" = 1", "SET \"a b.c\" = 1", "SET \"a-b\".c = 1",
	    "SET \"a.\xc3\xa9\" = 1", "SET \"a.1\".\"\" = 1", "SET \".a\" = 1", "SET \"a.\" = 1",
	    "SET \"1.a\" = 1",
	    "SET \"a123456789.b123456789.c123456789.d123456789.e123456789.f123456789.g123456789."
	    "h123456789.i123456789.j123456789.k123456789.l123456789\".m = 1");
}

static void a_name_with_quotes_or_blanks_is_remembered_without(void **state)
{
	(void)state;
	REMEMBERS("parts.whole", "SET \"parts.whole\" = 1", 0);
	REMEMBERS("parts.both", "SET \"parts\".\"both\" = 1", 0);
	REMEMBERS("parts.first", "SET \"parts\".first TO 1", 0);
	REMEMBERS("parts.second", "SET parts.\"second\" = 1", 0);
	REMEMBERS("parts.local", "SET LOCAL \"parts.local\" = 1", 0);
	REMEMBERS("parts.session", "set session /**/\"parts.session\" = 1", 0);
	REMEMBERS("parts.a.third", "SET parts.a.\"third\" = 1", 0);
	REMEMBERS("parts.close", "SET\"parts.close\"=1", 0);
	REMEMBERS("parts.blanks", "SET parts . blanks = 1", 0);
	REMEMBERS("parts.comment", "SET parts /* x */.comment = 1", 0);
	REMEMBERS("parts.behind", "SET parts. behind = 1", 0);
	REMEMBERS("parts.a.late", "SET parts.a . late = 1", 0);
	REMEMBERS("parts.around", "SET \"parts\" . \"around\" = 1", 0);
	REMEMBERS("parts.before", "SET LOCAL parts .before = 1", 0);
	REMEMBERS("parts.Other", "SELECT 1; SET \"parts.Other\" = 1", 0);
}

static void set_is_a_whole_word(void **state)
{
	(void)state;
	REMEMBERS_NOTHING(0, "RESET whole.a", "OFFSET whole.a", "SETX whole.a", "a_set whole.a",
	    "set_ whole.a", "1set whole.a", "set1 whole.a", "set$ whole.a", "\xc3\xa9set whole.a",
	    "set\xc3\xa9 whole.a", "SETLOCAL whole.a", "SET LOCALX whole.a = 1");
}

/* ---- set_config ---- */

static void a_literal_name_is_remembered(void **state)
{
	(void)state;
	REMEMBERS("config.plain", "SELECT set_config('config.plain', 'x', false)", 0);
	REMEMBERS("config.schema", "SELECT pg_catalog.set_config('config.schema', 'x', false)", 0);
	REMEMBERS("config.blanks",
	    "select SET_CONFIG /* x */ ( -- y\n 'config.blanks' /* z */ , $1, false)", 0);
	REMEMBERS("config.quoted", "SELECT \"set_config\"('config.quoted', 'x', false)", 0);
	REMEMBERS(
	    "config.both", "SELECT \"pg_catalog\".\"set_config\"('config.both', 'x', false)", 0);
	REMEMBERS("config.nested",
	    "SELECT set_config('config.nested', set_config('config.inner', 'x', true), true)", 0);
	assert_true(remembered("config.inner"));
	REMEMBERS("config.perform",
	    "DO $$BEGIN PERFORM set_config('config.perform', 'x', false); END$$", 0);
}

static void an_ordinary_literal_name_is_nothing(void **state)
{
	(void)state;
	REMEMBERS_NOTHING(0, "SELECT set_config('search_path', '', false)",
	    "SELECT set_config('work_mem', $1, true)", "SELECT set_config('', 'x', false)",
	    "set_config", "SELECT set_config", "set_config x", "set_config = 1",
	    "SELECT \"set_config\" FROM t");
}

static void a_computed_name_is_flagged(void **state)
{
	(void)state;
	REMEMBERS_NOTHING(STATEMENT_SETS_UNKNOWN, "SELECT set_config($1, $2, false)",
	    "SELECT set_config(name, 'x', false) FROM t",
	    "SELECT set_config('a.' || 'b', 'x', false)",
	    "SELECT set_config('a.b' || $1, 'x', false)",
	    "SELECT set_config('a.b'::text, 'x', false)", "SELECT set_config(E'a.b', 'x', false)",
	    "SELECT set_config($$a.b$$, 'x', false)", "SELECT set_config(U&'a.b', 'x', false)",
	    "SELECT set_config(lower('A.b'), 'x', false)", "SELECT set_config(('a.b'), 'x', false)",
	    "SELECT set_config(setting_name => 'a.b', new_value => 'x', is_local => false)",
	    "SELECT set_config('a.b''c', 'x', false)",
	    "SELECT set_config('a.\xc3\xa9', 'x', false)", "SELECT set_config('a b.c', 'x', false)",
	    "SELECT set_config('a.b'\n'c', 'x', false)", "SELECT set_config('a.b",
	    "SELECT set_config('a.b'", "SELECT set_config(", "SELECT set_config('",
	    "SELECT \"set_config\"($1, $2, false)",
	    "PREPARE p AS SELECT set_config($1, $2, false)");
}

static void set_config_is_a_whole_word(void **state)
{
	(void)state;
	REMEMBERS_NOTHING(0, "SELECT my_set_config($1)", "SELECT set_configs($1)",
	    "SELECT reset_config($1)", "SELECT set_config1($1)", "SELECT \"my set_config2\"($1)");
}

/* ---- The rest ---- */

static void pg_terminate_backend_is_seen(void **state)
{
	(void)state;
	ALL_GIVE(STATEMENT_ENDS_OTHERS, "SELECT pg_terminate_backend(1)",
	    "select PG_TERMINATE_BACKEND (pid, 5000) from pg_stat_activity",
	    "SELECT pg_catalog.pg_terminate_backend(pid) FROM a WHERE pid <> pg_backend_pid()",
	    "DO $$BEGIN PERFORM pg_terminate_backend(1); END$$");
	ALL_GIVE(0, "SELECT pg_cancel_backend(1)", "SELECT pg_terminate_backends(1)");
}

static void pg_backend_pid_is_seen(void **state)
{
	(void)state;
	ALL_GIVE(STATEMENT_SHOWS_PID, "SELECT pg_backend_pid()", "select PG_BACKEND_PID ( )",
	    "SELECT pg_catalog.pg_backend_pid()",
	    "SELECT * FROM pg_stat_activity WHERE pid = pg_backend_pid()",
	    "SELECT 1 <> 2, pg_backend_pid()", "SELECT <pg_backend_pid()",
	    "pid <= pg_backend_pid()", "SELECT\npg_backend_pid()", "SELECT 1,pg_backend_pid()",
	    "SELECT \"pg_backend_pid\"()", "pg_backend_pid");
	/* It is among those that are not told. */
	ALL_GIVE(0, "SELECT * FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
	    "SELECT * FROM pg_stat_activity WHERE pid!=pg_backend_pid()",
	    "SELECT * FROM pg_stat_activity WHERE pid <>\n PG_CATALOG.pg_backend_pid()");
	ALL_GIVE(0, "SELECT pg_backend_pids()", "SELECT my_pg_backend_pid()",
	    "SELECT pg_backend_pi()", "SELECT pg_backend", "SELECT xpg_backend_pid()",
	    "SELECT pg_backend_pid\xc3\xa9()", "SELECT pg_blocking_pids(1)");
}

static void dblink_connect_is_seen(void **state)
{
	(void)state;
	ALL_GIVE(STATEMENT_LINKS, "SELECT dblink_connect('dbname=other')",
	    "select public.DBLINK_CONNECT_U ('a', 'b')");
	ALL_GIVE(0, "SELECT * FROM dblink('a', 'SELECT 1') AS t (a int)",
	    "SELECT dblink_disconnect('a')", "SELECT my_dblink_connect()");
}

static void setseed_is_seen(void **state)
{
	(void)state;
	ALL_GIVE(STATEMENT_SEEDS, "SELECT setseed(0.5)", "select SetSeed (1)",
	    "SELECT pg_catalog.setseed(0)", "SELECT 1,setseed(1)");
	ALL_GIVE(0, "SELECT setseeds(0.5)", "SELECT resetseed(1)", "SELECT setsee(1)",
	    "SELECT set_seed(1)");
}

static void listening_is_seen_and_its_end(void **state)
{
	(void)state;
	ALL_GIVE(STATEMENT_LISTENS, "LISTEN news", "SELECT 1; listen \"News\"", "/**/Listen x");
	ALL_GIVE(STATEMENT_UNLISTENS, "UNLISTEN news", "unlisten \"*\"");
	ALL_GIVE(STATEMENT_UNLISTENS_ALL, "UNLISTEN *", "unlisten\t*", "DISCARD ALL");
	ALL_GIVE(STATEMENT_LOADS, "LOAD 'auto_explain'");
	ALL_GIVE(STATEMENT_LISTENS | STATEMENT_UNLISTENS_ALL, "UNLISTEN *; LISTEN news");
	ALL_GIVE(0, "SELECT listener FROM t", "SELECT listens", "SELECT loads", "NOTIFY unlistened",
	    "SELECT li");
}

static void several_things_are_seen_in_one_text(void **state)
{
	(void)state;
	ALL_GIVE(STATEMENT_SHOWS_PID | STATEMENT_SEEDS | STATEMENT_SETS_UNKNOWN,
	    "SELECT setseed(0); SELECT pg_backend_pid(); SELECT set_config($1, $2, true)");
	ALL_GIVE(
	    STATEMENT_CHANGES_LOGIN | STATEMENT_SETS_UNKNOWN, "ALTER ROLE x SET \"a-b.c\" = 1");
}

static void an_ordinary_statement_is_nothing(void **state)
{
	(void)state;
	REMEMBERS_NOTHING(0, "", " ", ";", "SELECT 1", "SELECT a.b FROM c.d", "BEGIN", "se", "s",
	    "p", "pg", "SELECT 's", "set\xff", "\xff\xfe\xfd", "SELECT pg_sleep(0)",
	    "SELECT * FROM pg_settings", "PREPARE x AS SELECT 1", "EXECUTE x", "DEALLOCATE ALL");
}

static void texts_that_end_too_early_are_read_to_their_end_only(void **state)
{
	static const char *const whole[] = {"/* a /* b */ c */ DROP DATABASE x",
	    "SELECT set_config ( 'a.b' , 'x')", "SET LOCAL \"a.b\" = 1", "ALTER -- x\nSYSTEM",
	    "SELECT pg_backend_pid()", "SET /* -- */ SESSION a . \"b\""};

	(void)state;
	/*
	 * In memory of exactly their size, so that valgrind and the sanitizers see a byte too many.
	 */
	for (size_t i = 0; i < COUNT(whole); i++)
		for (size_t length = 0; length <= strlen(whole[i]); length++) {
			char *query = strndup(whole[i], length);

			assert_non_null(query);
			statement_scan(query);
			free(query);
		}
}

static void what_is_not_terminated_ends_with_the_text(void **state)
{
	(void)state;
	ALL_GIVE(0, "/*", "/* DROP DATABASE x", "--", "-- DROP DATABASE x",
	    "/* /* */ DROP DATABASE x", "DROP /* DATABASE", "DROP DATABAS", "/*/", "/* *", "SET /*",
	    "SET \"a", "SET LOCAL \"a.b", "UPDATE t SET \"");
}

static void a_very_long_text_is_scanned_to_its_end(void **state)
{
	(void)state;
	size_t length = 8 << 20;
	char *query = malloc(length + 64);

	assert_non_null(query);
	memset(query, 'x', length);
	memcpy(query, "INSERT INTO t VALUES ('", 23);
	strcpy(query + length, "'), (pg_backend_pid())");
	ALL_GIVE(STATEMENT_SHOWS_PID, query);
	memset(query, ' ', length);
	strcpy(query + length, "DROP DATABASE x");
	ALL_GIVE(STATEMENT_CHANGES_LOGIN, query);
	free(query);
}

/* Half a megabyte in which every few bytes look like a SET: not the square of it. */
static void a_text_full_of_beginnings_takes_no_square_of_its_length(void **state)
{
	static const char *const pieces[] = {
	    "set ", "set \"", "set_config('", "set_config(", "set(", "se", "set a.b"};

	(void)state;
	alarm(20); /* seconds against minutes */
	for (size_t i = 0; i < COUNT(pieces); i++) {
		size_t length = 1 << 19, piece = strlen(pieces[i]);
		char *query = malloc(length + piece + 1), *end = query;

		assert_non_null(query);
		while (end < query + length) {
			memcpy(end, pieces[i], piece);
			end += piece;
		}
		*end = '\0';
		statement_scan(query);
		free(query);
	}
	alarm(0);
}

/* ---- The list of custom settings ---- */

static void equal_names_are_equal_pointers(void **state)
{
	(void)state;
	const char *name = custom_intern("intern.a", 8);

	assert_non_null(name);
	assert_string_equal(name, "intern.a");
	assert_ptr_equal(custom_intern("intern.a = 1", 8), name);
	assert_ptr_equal(custom_intern("INTERN.A", 8), name);
	assert_ptr_not_equal(custom_intern("intern.ab", 9), name);
	assert_ptr_not_equal(custom_intern("intern.", 7), name);
}

static void a_name_is_listed_once_with_its_first_spelling(void **state)
{
	(void)state;
	size_t before = custom_count();

	statement_scan("SET Listed.Once = 1; SET LISTED.ONCE = 2; SELECT set_config('listed.once', "
		       "'3', true)");
	assert_int_equal(custom_count(), before + 1);
	assert_string_equal(custom_name(before), "Listed.Once");
	assert_false(custom_overflowed());
}

static void a_set_is_told_from_that_of_an_update(void **state)
{
	static const char *const sets[] = {"SET work_mem = '1MB'",
	    "select 1; set work_mem to default", "SELECT set_config('work_mem', '1MB', false)",
	    "DO $$BEGIN SET work_mem = '1MB'; END$$", "/* UPDATE */ SET SESSION a.b = 1",
	    "SELECT set_config(name, '1', false)"};
	static const char *const others[] = {"UPDATE t SET work_mem = 1",
	    " -- why\nupdate t set a = 1",
	    "INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET a = 1",
	    "WITH x AS (SELECT 1) UPDATE t SET a = 1", "SELECT offset_of, setting FROM t", ""};

	(void)state;
	for (size_t i = 0; i < COUNT(sets); i++)
		assert_true(statement_scan(sets[i]) & STATEMENT_SETS);
	for (size_t i = 0; i < COUNT(others); i++)
		assert_false(statement_scan(others[i]) & STATEMENT_SETS);
}

struct overflow {
	bool before, after, known_is_kept, new_is_refused;
	size_t count;
	unsigned flags;
};

static void overflow_the_list(void *argument)
{
	struct overflow *overflow = argument;
	char name[32];

	while (custom_count() < MOST_CUSTOM_SETTINGS) {
		snprintf(name, sizeof name, "overflow.n%zu", custom_count());
		custom_intern(name, strlen(name));
	}
	const char *last = custom_name(MOST_CUSTOM_SETTINGS - 1);
	overflow->known_is_kept = custom_intern(last, strlen(last)) == last;
	overflow->before = custom_overflowed();
	overflow->new_is_refused = custom_intern("overflow.more", 13) == NULL;
	overflow->flags = scan("SET overflow.another = 1");
	overflow->after = custom_overflowed();
	overflow->count = custom_count();
}

static void more_names_than_are_remembered_are_told(void **state)
{
	struct overflow *overflow = apart_share(sizeof *overflow);

	(void)state;
	assert_non_null(apart(overflow_the_list, overflow));
	assert_false(overflow->before);
	assert_true(overflow->known_is_kept);
	assert_true(overflow->new_is_refused);
	assert_true(overflow->after);
	assert_int_equal(overflow->count, MOST_CUSTOM_SETTINGS);
	assert_int_equal(overflow->flags, 0);
}

/* ---- What it does to the session ---- */

static const char *pin_of(const char *query)
{
	struct session session = {0};

	statement_sent(&session, query, false);
	return session.pinned_for_good;
}

static void what_cannot_be_moved_pins_the_session(void **state)
{
	(void)state;
	assert_string_equal(
	    pin_of("SELECT pg_backend_pid()"), "has told the program its backend's pid");
	assert_string_equal(pin_of("SELECT setseed(0)"), "has called setseed");
	assert_string_equal(
	    pin_of("SET \"a-b.c\" = 1"), "has set a setting whose name is not in the text");
}

static void what_can_be_moved_does_not(void **state)
{
	(void)state;
	assert_null(pin_of("SET pin.a = 1"));
	assert_null(pin_of("DROP DATABASE x"));
	assert_null(pin_of("SELECT 1"));
	assert_null(pin_of(""));
	assert_null(pin_of(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(databases_and_roles_change_logins),
	    cmocka_unit_test(alter_system_changes_logins),
	    cmocka_unit_test(the_keywords_may_come_after_blanks_and_comments),
	    cmocka_unit_test(what_is_in_a_comment_is_no_keyword),
	    cmocka_unit_test(other_things_change_no_logins),
	    cmocka_unit_test(a_keyword_is_a_whole_word),
	    cmocka_unit_test(a_custom_setting_is_remembered),
	    cmocka_unit_test(it_is_remembered_wherever_the_set_stands),
	    cmocka_unit_test(a_prefix_may_be_called_like_a_scope),
	    cmocka_unit_test(ordinary_settings_are_not_remembered),
	    cmocka_unit_test(what_is_no_name_is_not_remembered),
	    cmocka_unit_test(update_is_not_taken_for_a_setting),
	    cmocka_unit_test(a_name_that_cannot_be_read_is_flagged),
	    cmocka_unit_test(a_name_with_quotes_or_blanks_is_remembered_without),
	    cmocka_unit_test(set_is_a_whole_word),
	    cmocka_unit_test(a_literal_name_is_remembered),
	    cmocka_unit_test(an_ordinary_literal_name_is_nothing),
	    cmocka_unit_test(a_computed_name_is_flagged),
	    cmocka_unit_test(set_config_is_a_whole_word),
	    cmocka_unit_test(pg_terminate_backend_is_seen),
	    cmocka_unit_test(pg_backend_pid_is_seen),
	    cmocka_unit_test(dblink_connect_is_seen),
	    cmocka_unit_test(setseed_is_seen),
	    cmocka_unit_test(listening_is_seen_and_its_end),
	    cmocka_unit_test(several_things_are_seen_in_one_text),
	    cmocka_unit_test(an_ordinary_statement_is_nothing),
	    cmocka_unit_test(texts_that_end_too_early_are_read_to_their_end_only),
	    cmocka_unit_test(what_is_not_terminated_ends_with_the_text),
	    cmocka_unit_test(a_very_long_text_is_scanned_to_its_end),
	    cmocka_unit_test(a_text_full_of_beginnings_takes_no_square_of_its_length),
	    cmocka_unit_test(equal_names_are_equal_pointers),
	    cmocka_unit_test(a_name_is_listed_once_with_its_first_spelling),
	    cmocka_unit_test(a_set_is_told_from_that_of_an_update),
	    cmocka_unit_test(more_names_than_are_remembered_are_told),
	    cmocka_unit_test(what_cannot_be_moved_pins_the_session),
	    cmocka_unit_test(what_can_be_moved_does_not),
	};

	setenv("PQLEASH", "1", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
