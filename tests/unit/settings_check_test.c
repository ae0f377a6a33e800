/* What a setting may be: numbers, seconds and the other kinds, and the words that say so. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pqleash_settings.h"
#include "pqleash_settings_check.h"

/* What a refused value must leave alone. */
enum { UNTOUCHED = -42 };

static const char *const no_numbers[] = {"", " ", "x", "three", "3x", "3 ", " 3", "3\n", "+3", "-3",
    "--3", "0x10", "1e3", "1,5", "3.", ".5", "1.5.5", "1..5", "1.5s", "inf", "nan", "INFINITY",
    "\xd9\xa3", "9223372036854775808", "18446744073709551619",
    "99999999999999999999999999999999999999999999999999"};

#define assert_number(text, minimum, maximum, expected) \
	do { \
		long number = UNTOUCHED; \
		assert_true(setting_number(text, minimum, maximum, &number)); \
		assert_int_equal(number, expected); \
	} while (0)

#define assert_seconds(text, minimum, maximum, expected) \
	do { \
		long milliseconds = UNTOUCHED; \
		assert_true(setting_seconds(text, minimum, maximum, &milliseconds)); \
		assert_int_equal(milliseconds, expected); \
	} while (0)

static void refuse_number(const char *text, long minimum, long maximum)
{
	long number = UNTOUCHED;

	if (setting_number(text, minimum, maximum, &number))
		fail_msg("setting_number takes \"%s\" as %ld", text, number);
	assert_int_equal(number, UNTOUCHED);
}

static void refuse_seconds(const char *text, double minimum, double maximum)
{
	long milliseconds = UNTOUCHED;

	if (setting_seconds(text, minimum, maximum, &milliseconds))
		fail_msg("setting_seconds takes \"%s\" as %ld ms", text, milliseconds);
	assert_int_equal(milliseconds, UNTOUCHED);
}

static void number_is_read(void **state)
{
	(void)state;
	assert_number("0", 0, 10, 0);
	assert_number("3", 1, 10000, 3);
	assert_number("007", 1, 10000, 7);
}

static void number_may_be_either_limit(void **state)
{
	(void)state;
	assert_number("1", 1, 10000, 1);
	assert_number("10000", 1, 10000, 10000);
	assert_number("9223372036854775807", 0, LONG_MAX, LONG_MAX);
}

static void number_beyond_the_limits_is_refused(void **state)
{
	(void)state;
	refuse_number("0", 1, 10000);
	refuse_number("10001", 1, 10000);
}

static void number_is_never_nonsense(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof no_numbers / sizeof *no_numbers; i++)
		refuse_number(no_numbers[i], LONG_MIN, LONG_MAX);
	refuse_number("1.5", LONG_MIN, LONG_MAX);
}

static void number_that_overflows_does_not_wrap_into_the_limits(void **state)
{
	(void)state;
	refuse_number("18446744073709551619", 1, 10000); /* 2^64 + 3 */
	refuse_number("4294967299", 1, 10000);           /* 2^32 + 3 */
}

static void seconds_are_read_as_milliseconds(void **state)
{
	(void)state;
	assert_seconds("5", 0, 86400, 5000);
	assert_seconds("0", 0, 86400, 0);
	assert_seconds("0.5", 0, 86400, 500);
	assert_seconds("7.25", 0, 86400, 7250);
	assert_seconds("1.001", 0, 86400, 1001);
	assert_seconds("1.0000000000000000000000000000000", 0, 86400, 1000);
}

static void seconds_may_be_either_limit(void **state)
{
	(void)state;
	assert_seconds("1", 1, 86400, 1000);
	assert_seconds("86400", 1, 86400, 86400000);
	assert_seconds("86400.000", 1, 86400, 86400000);
	assert_seconds("0.5", 0.5, 1.5, 500);
	assert_seconds("1.5", 0.5, 1.5, 1500);
}

static void seconds_beyond_the_limits_are_refused(void **state)
{
	(void)state;
	refuse_seconds("0.999", 1, 86400);
	refuse_seconds("0.9999999", 1, 86400);
	refuse_seconds("86401", 0, 86400);
	refuse_seconds("86400.0001", 0, 86400);
}

static void seconds_too_short_for_a_millisecond_are_one(void **state)
{
	(void)state;
	assert_seconds("0.0001", 0, 86400, 1);
	assert_seconds("0.00000000000000000000000000000001", 0, 86400, 1);
}

static void seconds_are_never_nonsense(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof no_numbers / sizeof *no_numbers; i++)
		refuse_seconds(no_numbers[i], 0, 1e300);
}

static void seconds_that_overflow_are_refused(void **state)
{
	(void)state;
	refuse_seconds("9223372036854775", 0, 86400);
	refuse_seconds("9223372036854775.999999", 0, 1e300);
	refuse_seconds("9223372036854775807.5", 0, 1e300);
	refuse_seconds("18446744073709551.621", 0, 86400); /* 2^64 + 5 milliseconds */
}

static void choice_tells_which(void **state)
{
	(void)state;
	assert_int_equal(setting_choice("lru"), 0);
	assert_int_equal(setting_choice("ended"), 1);
	assert_int_equal(setting_choice("never"), 2);
	assert_int_equal(setting_choice("LRU"), -1);
	assert_int_equal(setting_choice("lr"), -1);
	assert_int_equal(setting_choice("lru "), -1);
}

static void nothing_is_valid_for_no_kind(void **state)
{
	(void)state;
	for (enum setting_kind kind = SETTING_NUMBER; kind <= SETTING_URL; kind++) {
		assert_false(setting_valid(kind, 0, 100, ""));
		assert_false(setting_valid(kind, 0, 100, NULL));
	}
}

static void limits_count_for_numbers_and_seconds(void **state)
{
	(void)state;
	assert_true(setting_valid(SETTING_NUMBER, 1, 255, "255"));
	assert_false(setting_valid(SETTING_NUMBER, 1, 255, "256"));
	assert_true(setting_valid(SETTING_SECONDS, 1, 86400, "1.5"));
	assert_false(setting_valid(SETTING_SECONDS, 1, 86400, "0.5"));
}

static void flag_is_0_or_1(void **state)
{
	static const char *const others[] = {
	    "2", "00", "01", "true", "on", "yes", "off", " 1", "-1"};

	(void)state;
	assert_true(setting_valid(SETTING_FLAG, 0, 1, "0"));
	assert_true(setting_valid(SETTING_FLAG, 0, 1, "1"));
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		assert_false(setting_valid(SETTING_FLAG, 0, 1, others[i]));
}

static void names_are_separated_by_commas_alone(void **state)
{
	static const char *const others[] = {
	    ",", ",a", "a,", "a,,b", "a, b", "a ,b", " a", "a ", " "};

	(void)state;
	assert_true(setting_valid(SETTING_NAMES, 0, 0, "postgres"));
	assert_true(setting_valid(SETTING_NAMES, 0, 0, "postgres,pgbouncer,x"));
	assert_true(setting_valid(SETTING_NAMES, 0, 0, "my server,x"));
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		assert_false(setting_valid(SETTING_NAMES, 0, 0, others[i]));
}

static void text_is_anything(void **state)
{
	(void)state;
	assert_true(setting_valid(SETTING_TEXT, 0, 0, "billing: night run, part 2"));
	assert_true(setting_valid(SETTING_TEXT, 0, 0, "0"));
}

static void url_is_one_of_postgresql(void **state)
{
	static const char *const others[] = {"host=localhost dbname=x", "localhost/x",
	    "postgres:", "postgresql:/x", "mysql://host/x", "POSTGRES://host/x",
	    " postgres://host/x"};

	(void)state;
	assert_true(setting_valid(
	    SETTING_URL, 0, 0, "postgresql://user:word@host:5432/db?sslmode=require"));
	assert_true(setting_valid(SETTING_URL, 0, 0, "postgres://host/db"));
	assert_true(setting_valid(SETTING_URL, 0, 0, "postgresql://"));
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		assert_false(setting_valid(SETTING_URL, 0, 0, others[i]));
}

/* The kinds' names as the table has them, so that a default can be checked by its own kind. */
#define DEFAULT_IS_VALID(id, VARIABLE, kind, initial, minimum, maximum, metavariable, help) \
	if (*initial && !setting_valid(SETTING_##kind, minimum, maximum, initial)) \
		fail_msg("the default of PQLEASH_%s is not valid: %s", #VARIABLE, initial);

static void every_default_is_valid(void **state)
{
	(void)state;
	PQLEASH_SETTINGS(DEFAULT_IS_VALID)
}

static void every_kind_says_what_is_allowed(void **state)
{
	char buffer[SETTING_ALLOWED_ROOM];

	(void)state;
	assert_string_equal(
	    setting_allowed(SETTING_NUMBER, 1, 10000, buffer), "a whole number from 1 to 10000");
	assert_string_equal(setting_allowed(SETTING_SECONDS, 0, 86400, buffer),
	    "seconds from 0 to 86400, e.g. 5 or 0.5");
	assert_string_equal(setting_allowed(SETTING_FLAG, 0, 1, buffer), "0 or 1");
	assert_string_equal(setting_allowed(SETTING_CHOICE, 0, 0, buffer), "lru, ended or never");
	assert_string_equal(setting_allowed(SETTING_NAMES, 0, 0, buffer),
	    "names separated by commas, no blanks around them");
	assert_string_equal(setting_allowed(SETTING_TEXT, 0, 0, buffer), "a name");
	assert_string_equal(
	    setting_allowed(SETTING_URL, 0, 0, buffer), "a URL such as postgresql://host/database");
}

static void what_is_allowed_fits_the_buffer_whatever_the_limits(void **state)
{
	char buffer[SETTING_ALLOWED_ROOM];

	(void)state;
	setting_allowed(SETTING_SECONDS, LONG_MIN, LONG_MAX, buffer);
	assert_non_null(strstr(buffer, "e.g. 5 or 7.5"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(number_is_read),
	    cmocka_unit_test(number_may_be_either_limit),
	    cmocka_unit_test(number_beyond_the_limits_is_refused),
	    cmocka_unit_test(number_is_never_nonsense),
	    cmocka_unit_test(number_that_overflows_does_not_wrap_into_the_limits),
	    cmocka_unit_test(seconds_are_read_as_milliseconds),
	    cmocka_unit_test(seconds_may_be_either_limit),
	    cmocka_unit_test(seconds_beyond_the_limits_are_refused),
	    cmocka_unit_test(seconds_too_short_for_a_millisecond_are_one),
	    cmocka_unit_test(seconds_are_never_nonsense),
	    cmocka_unit_test(seconds_that_overflow_are_refused),
	    cmocka_unit_test(choice_tells_which),
	    cmocka_unit_test(nothing_is_valid_for_no_kind),
	    cmocka_unit_test(limits_count_for_numbers_and_seconds),
	    cmocka_unit_test(flag_is_0_or_1),
	    cmocka_unit_test(names_are_separated_by_commas_alone),
	    cmocka_unit_test(text_is_anything),
	    cmocka_unit_test(url_is_one_of_postgresql),
	    cmocka_unit_test(every_default_is_valid),
	    cmocka_unit_test(every_kind_says_what_is_allowed),
	    cmocka_unit_test(what_is_allowed_fits_the_buffer_whatever_the_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
