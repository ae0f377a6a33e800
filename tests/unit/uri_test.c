/* What pqleash takes out of a connection URI, what it leaves, and what it makes of the values. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "apart.h"
#include "libpq.h"
#include "uri.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Strip it, and see that it becomes what is expected. */
static struct uri_extras strip(const char *uri, const char *expected)
{
	struct uri_extras extras;
	char *stripped = uri_strip(uri, &extras);

	assert_non_null(stripped);
	assert_string_equal(stripped, expected);
	free(stripped);
	return extras;
}

static void leave_alone(const char *conninfo)
{
	struct uri_extras extras = strip(conninfo, conninfo);

	assert_int_equal(extras.connection_limit, 0);
	assert_false(extras.has_pool_timeout);
	assert_false(extras.pgbouncer);
}

static void a_uri_is_told_by_its_scheme(void **state)
{
	static const char *const others[] = {"", "postgres", "postgres:", "postgresql:/",
	    "POSTGRES://", " postgres://", "host=postgres://", "mysql://"};

	(void)state;
	assert_true(uri_is("postgres://"));
	assert_true(uri_is("postgresql://"));
	assert_true(uri_is("postgresql://h/d"));
	for (size_t i = 0; i < COUNT(others); i++)
		assert_false(uri_is(others[i]));
}

static void a_uri_without_parameters_is_left_alone(void **state)
{
	static const char *const uris[] = {"postgres://", "postgresql://", "postgresql:///",
	    "postgres://h", "postgres://u@h/d", "postgres://u:p@h:5432/d", "postgres://h/d?",
	    "postgres://h/connection_limit=3", "postgres://connection_limit=3/d",
	    "postgres://connection_limit:pgbouncer=true@h/pool_timeout"};

	(void)state;
	for (size_t i = 0; i < COUNT(uris); i++)
		leave_alone(uris[i]);
}

static void parameters_of_libpq_are_left_alone(void **state)
{
	static const char *const uris[] = {"postgres://h/d?sslmode=require",
	    "postgres://h/d?a=1&b=2", "postgres://?host=/tmp&dbname=d",
	    "postgres://h/d?options=-c%20a.b%3Dc&application_name=x%26y", "postgres://h/d?&",
	    "postgres://h/d?a", "postgres://h/d?=&=", "postgres://h/d?a=b?c=d"};

	(void)state;
	for (size_t i = 0; i < COUNT(uris); i++)
		leave_alone(uris[i]);
}

static void only_the_whole_name_counts(void **state)
{
	static const char *const uris[] = {"postgres://h/d?connection_limits=3",
	    "postgres://h/d?connection_limi=3", "postgres://h/d?xconnection_limit=3",
	    "postgres://h/d?Connection_Limit=3",
	    "postgres://h/d?application_name=connection_limit=3", "postgres://h/d?PGBOUNCER=true",
	    "postgres://h/d?pool_timeout%20=3", "postgres://h/d? pool_timeout=3"};

	(void)state;
	for (size_t i = 0; i < COUNT(uris); i++)
		leave_alone(uris[i]);
}

static void what_is_no_uri_is_left_alone(void **state)
{
	static const char *const others[] = {"", "x", "host=h connection_limit=3",
	    "?connection_limit=3", "http://h/d?connection_limit=3",
	    "dbname=postgres://h/d?pgbouncer=true", " postgres://h/d?pool_timeout=3", "=",
	    "\xff\xfe"};

	(void)state;
	for (size_t i = 0; i < COUNT(others); i++)
		leave_alone(others[i]);
}

static void the_limit_is_taken(void **state)
{
	(void)state;
	assert_int_equal(
	    strip("postgres://h/d?connection_limit=7", "postgres://h/d").connection_limit, 7);
}

static void the_timeout_is_taken_in_seconds(void **state)
{
	(void)state;
	struct uri_extras extras = strip("postgres://h/d?pool_timeout=7", "postgres://h/d");

	assert_true(extras.has_pool_timeout);
	assert_int_equal(extras.pool_timeout_ms, 7000);
	assert_int_equal(
	    strip("postgres://h?pool_timeout=0.5", "postgres://h").pool_timeout_ms, 500);
}

static void a_timeout_of_zero_means_for_ever_as_in_prisma(void **state)
{
	(void)state;
	struct uri_extras extras = strip("postgres://h/d?pool_timeout=0", "postgres://h/d");

	assert_true(extras.has_pool_timeout);
	assert_true(extras.pool_timeout_ms == LONG_MAX);
}

static void pgbouncer_is_taken(void **state)
{
	(void)state;
	assert_true(strip("postgres://h/d?pgbouncer=true", "postgres://h/d").pgbouncer);
	assert_true(strip("postgres://h/d?pgbouncer=1", "postgres://h/d").pgbouncer);
	assert_false(strip("postgres://h/d?pgbouncer=false", "postgres://h/d").pgbouncer);
	assert_false(strip("postgres://h/d?pgbouncer=0", "postgres://h/d").pgbouncer);
}

static void the_last_of_several_counts(void **state)
{
	(void)state;
	struct uri_extras extras = strip(
	    "postgres://h/d?connection_limit=3&pgbouncer=true&connection_limit=5&pgbouncer=false",
	    "postgres://h/d");

	assert_int_equal(extras.connection_limit, 5);
	assert_false(extras.pgbouncer);
}

static void parameters_are_found_wherever_libpq_finds_them(void **state)
{
	static const char *const places[] = {"postgres://", "postgresql:///", "postgres://h",
	    "postgres://h/", "postgres://h:5432/d", "postgres://[::1]:5432/d",
	    "postgres://one:1,two:2,[::1]/d", "postgres://u@", "postgres://u:p@h/d",
	    "postgres://%2Ftmp%2Fa%3Fb/d", "postgres://u:p%40%2F%3Fx@h/d", "postgres://h/d@e",
	    "postgres://h/a/b"};

	(void)state;
	for (size_t i = 0; i < COUNT(places); i++) {
		char uri[128];

		snprintf(uri, sizeof uri, "%s?connection_limit=7", places[i]);
		assert_int_equal(strip(uri, places[i]).connection_limit, 7);
	}
}

/* libpq takes everything before the first '@' for user and password, if no '/' comes before it. */
static void a_question_mark_in_a_password_begins_no_parameters(void **state)
{
	(void)state;
	leave_alone("postgres://u:p?connection_limit=3@h/d");
	leave_alone("postgres://u:?pgbouncer=true&connection_limit=3@h");
	leave_alone("postgres://?user=a@b&connection_limit=3");
	struct uri_extras extras = strip("postgres://u:p?connection_limit=3@h/d?connection_limit=4",
	    "postgres://u:p?connection_limit=3@h/d");
	assert_int_equal(extras.connection_limit, 4);
}

static void an_at_sign_behind_a_slash_ends_no_password(void **state)
{
	(void)state;
	struct uri_extras extras = strip("postgres://h/d?connection_limit=3&application_name=a@b",
	    "postgres://h/d?application_name=a@b");

	assert_int_equal(extras.connection_limit, 3);
}

/* Whether libpq accepts the URI, and finds these values in it. */
static void assert_libpq_finds(const char *uri, const char *password, const char *host)
{
	char *error = NULL;
	PQconninfoOption *options = PQconninfoParse(uri, &error);

	if (!options)
		fail_msg("%s: %s", uri, error);
	for (PQconninfoOption *option = options; option->keyword; option++) {
		if (strcmp(option->keyword, "password") == 0)
			assert_string_equal(option->val, password);
		if (strcmp(option->keyword, "host") == 0)
			assert_string_equal(option->val, host);
	}
	PQconninfoFree(options);
}

static void libpq_agrees_on_where_parameters_begin(void **state)
{
	(void)state;
	assert_libpq_finds("postgres://u:p?connection_limit=3@h/d?connection_limit=4",
	    "p?connection_limit=3", "h");
	assert_libpq_finds(
	    "postgres://u:p%3F%40@h/d?sslmode=disable&connection_limit=4", "p?@", "h");
	assert_libpq_finds("postgres://u:p@one,two/d?pgbouncer=true", "p", "one,two");
}

/* A '#' is nothing special to libpq: it belongs to the value. */
static void a_fragment_belongs_to_the_value(void **state)
{
	(void)state;
	leave_alone("postgres://h/d#connection_limit=3");
	assert_int_equal(strip("postgres://h/d?application_name=a#b&connection_limit=3",
			     "postgres://h/d?application_name=a#b")
			     .connection_limit,
	    3);
}

static const char *const pieces[] = {"connection_limit=7", "pool_timeout=8", "pgbouncer=true",
    "sslmode=disable", "application_name=a%26connection_limit%3D9", "options=-c%20geqo%3Doff"};
#define OURS 3

/* All sequences of up to 4 different pieces, each once. */
static void try_sequences(const char *uri, const char *expected, unsigned used, int more)
{
	struct uri_extras extras = strip(uri, expected);

	assert_int_equal(extras.connection_limit, used & 1 ? 7 : 0);
	assert_int_equal(extras.has_pool_timeout, used >> 1 & 1);
	assert_int_equal(extras.pgbouncer, used >> 2 & 1);
	for (size_t i = 0; more > 0 && i < COUNT(pieces); i++) {
		char next_uri[512], next_expected[512];

		if (used >> i & 1)
			continue;
		snprintf(next_uri, sizeof next_uri, "%s%c%s", uri, used ? '&' : '?', pieces[i]);
		snprintf(next_expected, sizeof next_expected, "%s", expected);
		if (i >= OURS)
			snprintf(next_expected, sizeof next_expected, "%s%c%s", expected,
			    used >> OURS ? '&' : '?', pieces[i]);
		try_sequences(next_uri, next_expected, used | 1u << i, more - 1);
	}
}

static void any_sequence_of_parameters_keeps_what_is_libpqs_in_order(void **state)
{
	(void)state;
	try_sequences("postgres://u:p@h/d", "postgres://u:p@h/d", 0, 4);
}

static void a_very_long_uri_is_stripped(void **state)
{
	(void)state;
	size_t length = 1 << 20;
	char *uri = malloc(length + 64), *expected = malloc(length + 64);

	assert_non_null(uri);
	assert_non_null(expected);
	strcpy(expected, "postgres://h/d?application_name=");
	size_t begin = strlen(expected);
	memset(expected + begin, 'x', length);
	expected[begin + length] = '\0';
	sprintf(uri, "%s&connection_limit=3", expected);
	assert_int_equal(strip(uri, expected).connection_limit, 3);
	free(uri);
	free(expected);
}

/* What is said is said once in a process: each of these runs in its own. */
struct nonsense {
	const char *uri;
	struct uri_extras extras;
	char stripped[128];
	int times;
};

static void strip_nonsense(void *argument)
{
	struct nonsense *nonsense = argument;

	for (int i = 0; i < nonsense->times; i++) {
		char *stripped = uri_strip(nonsense->uri, &nonsense->extras);

		strcpy(nonsense->stripped, stripped);
		free(stripped);
	}
}

static struct nonsense *strip_apart(const char *uri, int times, const char *expected_line)
{
	struct nonsense *nonsense = apart_share(sizeof *nonsense);

	nonsense->uri = uri;
	nonsense->times = times;
	const char *said = apart(strip_nonsense, nonsense);
	assert_non_null(said);
	assert_string_equal(said, expected_line);
	return nonsense;
}

static void a_value_that_makes_no_sense_is_said_and_ignored(void **state)
{
	static const char *const parameters[][4] = {
	    {"connection_limit", "0", "-3", "10001"},
	    {"connection_limit", "3x", "", "99999999999999999999"},
	    {"connection_limit", "3#fragment", "%33", "three"},
	    {"pool_timeout", "-1", "", "86401"},
	    {"pool_timeout", "5s", "0,5", "inf"},
	    {"pgbouncer", "yes", "", "TRUE"},
	    {"pgbouncer", "2", "on", "tru"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(parameters); i++)
		for (int j = 1; j < 4; j++) {
			char uri[128], line[128];

			snprintf(uri, sizeof uri, "postgres://h/d?%s=%s", parameters[i][0],
			    parameters[i][j]);
			snprintf(line, sizeof line,
			    "pqleash: the URI parameter %s has no usable value; it is ignored\n",
			    parameters[i][0]);
			struct nonsense *nonsense = strip_apart(uri, 1, line);
			assert_string_equal(nonsense->stripped, "postgres://h/d");
			assert_int_equal(nonsense->extras.connection_limit, 0);
			assert_false(nonsense->extras.has_pool_timeout);
			assert_false(nonsense->extras.pgbouncer);
		}
}

static void a_parameter_without_a_value_is_said_and_removed(void **state)
{
	(void)state;
	struct nonsense *nonsense = strip_apart("postgres://h/d?connection_limit&a=b", 1,
	    "pqleash: the URI parameter connection_limit has no usable value; it is ignored\n");

	assert_string_equal(nonsense->stripped, "postgres://h/d?a=b");
}

static void nonsense_is_said_once_each(void **state)
{
	(void)state;
	strip_apart("postgres://h/d?connection_limit=x&pgbouncer=x", 3,
	    "pqleash: the URI parameter connection_limit has no usable value; it is ignored\n"
	    "pqleash: the URI parameter pgbouncer has no usable value; it is ignored\n");
}

static void nonsense_does_not_undo_a_good_value(void **state)
{
	(void)state;
	struct nonsense *nonsense =
	    strip_apart("postgres://h/d?connection_limit=3&connection_limit=x", 1,
		"pqleash: the URI parameter connection_limit has no usable value; it is ignored\n");

	assert_int_equal(nonsense->extras.connection_limit, 3);
}

static void good_values_are_not_talked_about(void **state)
{
	(void)state;
	strip_apart("postgres://h/d?connection_limit=3&pool_timeout=1.5&pgbouncer=true&x=y", 1, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_uri_is_told_by_its_scheme),
	    cmocka_unit_test(a_uri_without_parameters_is_left_alone),
	    cmocka_unit_test(parameters_of_libpq_are_left_alone),
	    cmocka_unit_test(only_the_whole_name_counts),
	    cmocka_unit_test(what_is_no_uri_is_left_alone),
	    cmocka_unit_test(the_limit_is_taken),
	    cmocka_unit_test(the_timeout_is_taken_in_seconds),
	    cmocka_unit_test(a_timeout_of_zero_means_for_ever_as_in_prisma),
	    cmocka_unit_test(pgbouncer_is_taken),
	    cmocka_unit_test(the_last_of_several_counts),
	    cmocka_unit_test(parameters_are_found_wherever_libpq_finds_them),
	    cmocka_unit_test(a_question_mark_in_a_password_begins_no_parameters),
	    cmocka_unit_test(an_at_sign_behind_a_slash_ends_no_password),
	    cmocka_unit_test(libpq_agrees_on_where_parameters_begin),
	    cmocka_unit_test(a_fragment_belongs_to_the_value),
	    cmocka_unit_test(any_sequence_of_parameters_keeps_what_is_libpqs_in_order),
	    cmocka_unit_test(a_very_long_uri_is_stripped),
	    cmocka_unit_test(a_value_that_makes_no_sense_is_said_and_ignored),
	    cmocka_unit_test(a_parameter_without_a_value_is_said_and_removed),
	    cmocka_unit_test(nonsense_is_said_once_each),
	    cmocka_unit_test(nonsense_does_not_undo_a_good_value),
	    cmocka_unit_test(good_values_are_not_talked_about),
	};

	setenv("PQLEASH", "1", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
