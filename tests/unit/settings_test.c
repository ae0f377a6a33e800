/*
 * How the PQLEASH_* variables are read: defaults, values, and what is said of nonsense. They are
 * read once in a process, so each case has a process of its own; what each kind of value may be is
 * in settings_check_test.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "apart.h"
#include "pqleash_settings.h"
#include "settings.h"

/* What a copy of this program is called with, and says when it has no rights but its caller's. */
#define TELL_RIGHTS "tell-rights"
#define NO_RIGHTS 3

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* One case: the environment for it, and what became of it. */
struct reading {
	const char *environment[12][2]; /* PQLEASH=1 comes first, a NULL ends it */
	const char *later[2];           /* set when they have been read */
	struct settings settings;
	char database_url[256], suite[256];
};

static const char *said;

static void copy(char *buffer, size_t size, const char *text)
{
	snprintf(buffer, size, "%s", text ? text : "(none)");
}

static void read_settings(void *argument)
{
	struct reading *reading = argument;

	for (size_t i = 0; reading->environment[i][0]; i++)
		setenv(reading->environment[i][0], reading->environment[i][1], 1);
	settings();
	if (reading->later[0])
		setenv(reading->later[0], reading->later[1], 1);
	reading->settings = *settings();
	copy(reading->database_url, sizeof reading->database_url, settings()->database_url);
	copy(reading->suite, sizeof reading->suite, settings()->suite);
}

/* The settings of a process with PQLEASH=1 and these variables. */
static struct reading *read_with(const struct reading *wanted)
{
	struct reading *reading = apart_share(sizeof *reading);

	*reading = *wanted;
	said = apart(read_settings, reading);
	assert_non_null(said);
	return reading;
}

#define READ(...) read_with(&(struct reading){.environment = {{"PQLEASH", "1"}, __VA_ARGS__}})

static void defaults_hold_where_nothing_is_set(void **state)
{
	struct reading *reading = READ({NULL});

	(void)state;
	assert_true(reading->settings.on);
	assert_int_equal(reading->settings.limit, 3);
	assert_int_equal(reading->settings.pool_timeout_ms, 5000);
	assert_int_equal(reading->settings.connect_timeout_ms, 5000);
	assert_int_equal(reading->settings.statement_timeout_ms, 0);
	assert_int_equal(reading->settings.reclaim, RECLAIM_LRU);
	assert_false(reading->settings.pgbouncer);
	assert_false(reading->settings.debug);
	assert_string_equal(reading->database_url, "(none)");
	assert_string_equal(reading->suite, "(none)");
	assert_string_equal(said, "");
}

static void values_are_taken(void **state)
{
	struct reading *reading = READ({"PQLEASH_LIMIT", "7"}, {"PQLEASH_POOL_TIMEOUT", "0.25"},
	    {"PQLEASH_CONNECT_TIMEOUT", "86400"}, {"PQLEASH_STATEMENT_TIMEOUT", "0.3"},
	    {"PQLEASH_RECLAIM", "never"},
	    {"PQLEASH_DATABASE_URL", "postgresql://u:p@h/d?pgbouncer=true"},
	    {"PQLEASH_SUITE", "billing: night"});

	(void)state;
	assert_int_equal(reading->settings.limit, 7);
	assert_int_equal(reading->settings.pool_timeout_ms, 250);
	assert_int_equal(reading->settings.connect_timeout_ms, 86400000);
	assert_int_equal(reading->settings.statement_timeout_ms, 300);
	assert_int_equal(reading->settings.reclaim, RECLAIM_NEVER);
	assert_string_equal(reading->database_url, "postgresql://u:p@h/d?pgbouncer=true");
	assert_string_equal(reading->suite, "billing: night");
	assert_string_equal(said, "");
}

static void flags_are_taken(void **state)
{
	struct reading *reading = READ({"PQLEASH_PGBOUNCER", "1"}, {"PQLEASH_DEBUG", "1"});

	(void)state;
	assert_true(reading->settings.pgbouncer);
	assert_true(reading->settings.debug);
	reading = READ({"PQLEASH_PGBOUNCER", "0"}, {"PQLEASH_DEBUG", "0"});
	assert_false(reading->settings.pgbouncer);
	assert_false(reading->settings.debug);
}

static void every_way_to_reclaim_is_known(void **state)
{
	(void)state;
	assert_int_equal(READ({"PQLEASH_RECLAIM", "lru"})->settings.reclaim, RECLAIM_LRU);
	assert_int_equal(READ({"PQLEASH_RECLAIM", "ended"})->settings.reclaim, RECLAIM_ENDED);
	assert_int_equal(READ({"PQLEASH_RECLAIM", "never"})->settings.reclaim, RECLAIM_NEVER);
}

static void it_is_off_unless_it_is_switched_on(void **state)
{
	struct reading off = {.environment = {{"PQLEASH_LIMIT", "nonsense"}}};

	(void)state;
	assert_false(read_with(&off)->settings.on);
	assert_string_equal(said, "");
	assert_false(READ({"PQLEASH", "0"}, {"PQLEASH_LIMIT", "nonsense"})->settings.on);
	assert_string_equal(said, "");
	assert_false(READ({"PQLEASH", ""})->settings.on);
	assert_string_equal(said, "");
}

static void nonsense_does_not_switch_it_on(void **state)
{
	static const char *const nonsense[] = {
	    "2", "yes", "on", "true", " 1", "1 ", "01", "-1", "TRUE"};
	char expected[128];

	(void)state;
	for (size_t i = 0; i < COUNT(nonsense); i++) {
		assert_false(READ({"PQLEASH", nonsense[i]})->settings.on);
		snprintf(expected, sizeof expected,
		    "pqleash: PQLEASH=%s is not valid; allowed is 0 or 1; it stays off\n",
		    nonsense[i]);
		assert_string_equal(said, expected);
	}
}

static void a_program_of_the_skip_list_is_left_alone(void **state)
{
	(void)state;
	assert_false(READ({"PQLEASH_SKIP", "settings_test"})->settings.on);
	assert_false(READ({"PQLEASH_SKIP", "psql,settings_test"})->settings.on);
	assert_false(READ({"PQLEASH_SKIP", "settings_test,psql"})->settings.on);
	assert_true(READ({"PQLEASH_SKIP", "settings_tests,settings,_test"})->settings.on);
	assert_true(READ({"PQLEASH_SKIP", "psql"})->settings.on);
}

static void servers_and_poolers_are_left_alone_by_default(void **state)
{
	struct reading *reading = READ({NULL});

	(void)state;
	program_invocation_short_name = "postgres";
	assert_false(READ({NULL})->settings.on);
	program_invocation_short_name = "pgbouncer";
	assert_false(READ({NULL})->settings.on);
	program_invocation_short_name = "postgresql";
	assert_true(READ({NULL})->settings.on);
	program_invocation_short_name = "settings_test";
	assert_true(reading->settings.on);
}

/* Of each kind one variable, a value it may not have, and the line. */
static void nonsense_is_said_in_one_line_and_the_default_is_used(void **state)
{
	static const char *const cases[][3] = {
	    {"PQLEASH_LIMIT", "0",
		"PQLEASH_LIMIT=0 is not valid; allowed is a whole number from 1 to 10000; 3"},
	    {"PQLEASH_LIMIT", "10001",
		"PQLEASH_LIMIT=10001 is not valid; allowed is a whole number from 1 to 10000; 3"},
	    {"PQLEASH_POOL_TIMEOUT", "5s",
		"PQLEASH_POOL_TIMEOUT=5s is not valid; allowed is seconds from 0 to 86400, "
		"e.g. 5 or 0.5; 5"},
	    {"PQLEASH_CONNECT_TIMEOUT", "0",
		"PQLEASH_CONNECT_TIMEOUT=0 is not valid; allowed is seconds from 1 to 86400, "
		"e.g. 5 or 7.5; 5"},
	    {"PQLEASH_RECLAIM", "LRU",
		"PQLEASH_RECLAIM=LRU is not valid; allowed is lru, ended or never; lru"},
	    {"PQLEASH_PGBOUNCER", "true",
		"PQLEASH_PGBOUNCER=true is not valid; allowed is 0 or 1; 0"},
	    {"PQLEASH_SKIP", "a, b",
		"PQLEASH_SKIP=a, b is not valid; allowed is names separated by commas, no blanks "
		"around them; postgres,pgbouncer"},
	    {"PQLEASH_JOB_LIMIT", "x",
		"PQLEASH_JOB_LIMIT=x is not valid; allowed is a whole number from 1 to 10000; it "
		"is "
		"ignored"},
	};
	char expected[256];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct reading *reading = READ({cases[i][0], cases[i][1]});
		struct reading *plain = apart_share(sizeof *plain);

		snprintf(expected, sizeof expected, "pqleash: %s%s\n", cases[i][2],
		    strstr(cases[i][2], "ignored") ? "" : " is used");
		assert_string_equal(said, expected);
		plain = READ({NULL});
		assert_memory_equal(&reading->settings, &plain->settings, sizeof plain->settings);
	}
}

static void a_url_is_never_shown(void **state)
{
	struct reading *reading = READ({"PQLEASH_DATABASE_URL", "mysql://u:secret@h/d"});

	(void)state;
	assert_string_equal(reading->database_url, "(none)");
	assert_string_equal(said, "pqleash: PQLEASH_DATABASE_URL is not valid; allowed is a URL "
				  "such as postgresql://host/database; it is "
				  "ignored\n");
}

static void each_variable_with_nonsense_has_its_line(void **state)
{
	READ({"PQLEASH_LIMIT", "x"}, {"PQLEASH_DEBUG", "x"}, {"PQLEASH_RECLAIM", "x"});

	(void)state;
	assert_non_null(strstr(said, "pqleash: PQLEASH_LIMIT=x "));
	assert_non_null(strstr(said, "\npqleash: PQLEASH_RECLAIM=x "));
	assert_non_null(strstr(said, "\npqleash: PQLEASH_DEBUG=x "));
}

static void an_empty_variable_counts_as_unset(void **state)
{
#define EMPTY(id, VARIABLE, kind, initial, minimum, maximum, metavariable, help) \
	"PQLEASH_" #VARIABLE,
	static const char *const variables[] = {PQLEASH_SETTINGS(EMPTY)};
	struct reading *plain = READ({NULL});

	(void)state;
	for (size_t i = 0; i < COUNT(variables); i++) {
		struct reading *reading = READ({variables[i], ""});

		assert_string_equal(said, "");
		assert_memory_equal(&reading->settings, &plain->settings, sizeof plain->settings);
	}
}

static void a_huge_value_is_cut_in_its_line(void **state)
{
	static char huge[100001];

	(void)state;
	memset(huge, '9', sizeof huge - 1);
	struct reading *reading = READ({"PQLEASH_LIMIT", huge});
	assert_int_equal(reading->settings.limit, 3);
	assert_in_range(strlen(said), 100, 300);
	assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
}

/* It would be two lines, or hide what is before it on a terminal. */
static void a_value_with_control_characters_stays_in_its_line(void **state)
{
	READ({"PQLEASH_LIMIT", "1\n2\r\x1b[2K\x7f"});

	(void)state;
	assert_string_equal(said, "pqleash: PQLEASH_LIMIT=1?2??[2K? is not valid; allowed is a "
				  "whole number from 1 to 10000; 3 is used\n");
}

static void what_has_no_effect_yet_is_said(void **state)
{
	static const char *const variables[][2] = {{"PQLEASH_JOB_LIMIT", "7"}};
	char expected[128];

	(void)state;
	for (size_t i = 0; i < COUNT(variables); i++) {
		READ({variables[i][0], variables[i][1]});
		snprintf(expected, sizeof expected, "pqleash: %s has no effect in this version\n",
		    variables[i][0]);
		assert_string_equal(said, expected);
	}
}

static void they_are_read_once(void **state)
{
	struct reading wanted = {.environment = {{"PQLEASH", "1"}, {"PQLEASH_LIMIT", "7"}},
	    .later = {"PQLEASH_LIMIT", "9"}};

	(void)state;
	assert_int_equal(read_with(&wanted)->settings.limit, 7);
	wanted.later[1] = "nonsense";
	assert_int_equal(read_with(&wanted)->settings.limit, 7);
	assert_string_equal(said, "");
}

/* ---- A program with somebody else's rights ---- */

static int copy_file(const char *from, const char *to)
{
	char bytes[65536];
	ssize_t got;
	int in = open(from, O_RDONLY | O_CLOEXEC),
	    out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);

	while ((got = read(in, bytes, sizeof bytes)) > 0)
		if (write(out, bytes, (size_t)got) != got)
			return -1;
	close(in);
	/* The rights come last: writing takes them away. */
	return got == 0 && fchown(out, 65534, (gid_t)-1) == 0 && fchmod(out, 04755) == 0
		   ? close(out)
		   : -1;
}

/* The exit status of a copy of this program that belongs to nobody and has that user's rights. */
static int run_as_nobody(const char *copy)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		setenv("PQLEASH", "1", 1);
		setenv("PQLEASH_LIMIT", "nonsense", 1);
		execl(copy, copy, TELL_RIGHTS, NULL);
		_exit(127);
	}
	return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_set_user_id_program_does_not_obey_the_environment(void **state)
{
	char folder[] = "/tmp/pqleash-settings.XXXXXX", copy_path[64];

	(void)state;
	if (geteuid() != 0 || !mkdtemp(folder))
		skip();
	snprintf(copy_path, sizeof copy_path, "%s/copy", folder);
	chmod(folder, 0755);
	int status = copy_file("/proc/self/exe", copy_path) == 0 ? run_as_nobody(copy_path) : -1;
	unlink(copy_path);
	rmdir(folder);
	/* A file system without set-user-id, a container that allows no new rights, a sanitizer. */
	if (status == NO_RIGHTS || status == -1)
		skip();
	assert_int_equal(status, 0);
}

/* In that copy: 0 when it is off and silent. */
static int tell_rights(void)
{
	if (!getauxval(AT_SECURE))
		return NO_RIGHTS;
	return settings()->on ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], TELL_RIGHTS) == 0)
		_exit(tell_rights()); /* no sanitizer may look for leaks there */
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(defaults_hold_where_nothing_is_set),
	    cmocka_unit_test(values_are_taken),
	    cmocka_unit_test(flags_are_taken),
	    cmocka_unit_test(every_way_to_reclaim_is_known),
	    cmocka_unit_test(it_is_off_unless_it_is_switched_on),
	    cmocka_unit_test(nonsense_does_not_switch_it_on),
	    cmocka_unit_test(a_program_of_the_skip_list_is_left_alone),
	    cmocka_unit_test(servers_and_poolers_are_left_alone_by_default),
	    cmocka_unit_test(nonsense_is_said_in_one_line_and_the_default_is_used),
	    cmocka_unit_test(a_url_is_never_shown),
	    cmocka_unit_test(each_variable_with_nonsense_has_its_line),
	    cmocka_unit_test(an_empty_variable_counts_as_unset),
	    cmocka_unit_test(a_huge_value_is_cut_in_its_line),
	    cmocka_unit_test(a_value_with_control_characters_stays_in_its_line),
	    cmocka_unit_test(what_has_no_effect_yet_is_said),
	    cmocka_unit_test(they_are_read_once),
	    cmocka_unit_test(a_set_user_id_program_does_not_obey_the_environment),
	};
#define UNSET(id, VARIABLE, kind, initial, minimum, maximum, metavariable, help) \
	unsetenv("PQLEASH_" #VARIABLE);

	PQLEASH_SETTINGS(UNSET)
	unsetenv("PQLEASH");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
