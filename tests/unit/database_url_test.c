/*
 * PQLEASH_DATABASE_URL: where and as whom comes from it, whatever the program asked for; the rest
 * stays. The variable is read once in a process, so each case has a process of its own.
 */
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
#include "target.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* One case, and the options that libpq would be told. */
struct redirection {
	const char *url, *asked;
	const char *environment[2];
	bool as_arrays, as_login;
	int times;
	bool found, pgbouncer;
	char options[1024]; /* " keyword=value" each */
	char label[128];
};

static const char *said;

static struct target *find(const struct redirection *redirection)
{
	const char *const keywords[] = {"dbname", NULL}, *const values[] = {
							     redirection->asked, NULL};
	struct request request = {.conninfo = redirection->asked};

	if (redirection->as_arrays)
		request =
		    (struct request){.keywords = keywords, .values = values, .expand_dbname = 1};
	if (redirection->as_login)
		request = (struct request){
		    .login = true, .dbname = redirection->asked, .host = "asked", .user = "asked"};
	bool starved;

	return target_find(&request, &starved);
}

static void describe(struct redirection *redirection, const struct target *target)
{
	PQconninfoOption *options = libpq_real.PQconninfoParse(target->conninfo, NULL);
	size_t end = 0;

	for (PQconninfoOption *option = options; option->keyword; option++)
		if (option->val && option->val[0])
			end += (size_t)snprintf(redirection->options + end,
			    sizeof redirection->options - end, " %s=%s", option->keyword,
			    option->val);
	strcat(redirection->options, " ");
	PQconninfoFree(options); /* not ours: the linker sees that libpq is wanted */
	snprintf(redirection->label, sizeof redirection->label, "%s", target->label);
}

static void redirect_here(void *argument)
{
	struct redirection *redirection = argument;

	setenv("PQLEASH_DATABASE_URL", redirection->url, 1);
	if (redirection->environment[0])
		setenv(redirection->environment[0], redirection->environment[1], 1);
	for (int i = 0; i <= redirection->times; i++) {
		struct target *target = find(redirection);

		redirection->found = target != NULL;
		if (!target)
			return;
		redirection->pgbouncer = target->pgbouncer;
		redirection->options[0] = '\0';
		describe(redirection, target);
		target_release(target);
	}
}

static const struct redirection *redirect(const struct redirection *wanted)
{
	struct redirection *redirection = apart_share(sizeof *redirection);

	*redirection = *wanted;
	said = apart(redirect_here, redirection);
	assert_non_null(said);
	return redirection;
}

#define REDIRECT(url_, asked_, ...) \
	redirect(&(struct redirection){.url = (url_), .asked = (asked_), __VA_ARGS__})

static void assert_has(const struct redirection *redirection, const char *option)
{
	if (!strstr(redirection->options, option))
		fail_msg("no %s in %s", option, redirection->options);
}

static void assert_has_no(const struct redirection *redirection, const char *option)
{
	if (strstr(redirection->options, option))
		fail_msg("%s in %s", option, redirection->options);
}

static const char url[] = "postgresql://u:p@h:7/d";
static const char asked_for[] =
    "host=asked hostaddr=1.2.3.4 port=1 dbname=asked user=asked password=asked passfile=/asked "
    "application_name=kept options='-c geqo=off'";

static void where_and_as_whom_comes_from_the_url(void **state)
{
	const struct redirection *redirection = REDIRECT(url, asked_for);

	(void)state;
	assert_string_equal(redirection->label, "u@h:7/d");
	assert_has(redirection, " password=p ");
	assert_has_no(redirection, "asked");
	assert_has_no(redirection, "1.2.3.4");
	assert_string_equal(said, "");
}

static void the_rest_is_as_the_program_asked(void **state)
{
	const struct redirection *redirection = REDIRECT(url, asked_for);

	(void)state;
	assert_has(redirection, " application_name=kept ");
	assert_has(redirection, " options=-c geqo=off ");
}

static void it_holds_however_the_program_asks(void **state)
{
	(void)state;
	assert_string_equal(
	    REDIRECT(url, "postgresql://asked:asked@asked/asked")->label, "u@h:7/d");
	assert_string_equal(REDIRECT(url, "")->label, "u@h:7/d");
	assert_string_equal(REDIRECT(url, asked_for, .as_arrays = true)->label, "u@h:7/d");
	assert_string_equal(REDIRECT(url, "asked", .as_arrays = true)->label, "u@h:7/d");
	assert_string_equal(REDIRECT(url, asked_for, .as_login = true)->label, "u@h:7/d");
	assert_string_equal(REDIRECT(url, "asked", .as_login = true)->label, "u@h:7/d");
}

static void what_the_url_does_not_name_is_libpqs_default_not_the_programs(void **state)
{
	const struct redirection *redirection =
	    REDIRECT("postgresql://h", asked_for, .environment = {"PGUSER", "login"});

	(void)state;
	assert_string_equal(redirection->label, "login@h:5432/login");
	assert_has_no(redirection, "asked");
}

static void a_service_that_the_program_names_is_forgotten(void **state)
{
	(void)state;
	assert_has_no(REDIRECT(url, "service=asked"), "service");
}

static void it_ranks_above_the_environment(void **state)
{
	(void)state;
	assert_string_equal(
	    REDIRECT(url, "", .environment = {"PGHOST", "asked"})->label, "u@h:7/d");
	assert_string_equal(REDIRECT(url, "", .environment = {"PGPORT", "1"})->label, "u@h:7/d");
}

static void other_options_of_the_url_rank_above_the_programs(void **state)
{
	(void)state;
	assert_has(
	    REDIRECT("postgresql://h?application_name=url", asked_for), " application_name=url ");
}

static void its_own_parameters_are_honoured_and_removed(void **state)
{
	const struct redirection *redirection =
	    REDIRECT("postgresql://h?pgbouncer=true&connection_limit=1&pool_timeout=1", asked_for);

	(void)state;
	assert_true(redirection->found);
	assert_true(redirection->pgbouncer);
	assert_string_equal(said, "");
	assert_false(REDIRECT(url, asked_for)->pgbouncer);
}

/* The kinds of nonsense that begin as a URL should: the rest is found in settings_test.c. */
static void a_url_that_libpq_refuses_is_said_and_ignored(void **state)
{
	static const char *const nonsense[] = {"postgresql://[::1/d",
	    "postgresql://u:secret@h/d?nonsense=1", "postgresql://u:secret@h/d?sslmode",
	    "postgres://u:secret%zz@h"};

	(void)state;
	for (size_t i = 0; i < COUNT(nonsense); i++) {
		const struct redirection *redirection =
		    REDIRECT(nonsense[i], "host=asked port=8 user=asked dbname=asked");

		assert_true(redirection->found);
		assert_string_equal(redirection->label, "asked@asked:8/asked");
		assert_string_equal(said, "pqleash: PQLEASH_DATABASE_URL is not a connection URL "
					  "that libpq accepts; it is ignored\n");
	}
}

static void it_is_said_once(void **state)
{
	REDIRECT("postgresql://h/d?nonsense=1", "host=asked", .times = 3);

	(void)state;
	assert_string_equal(said, "pqleash: PQLEASH_DATABASE_URL is not a connection URL that "
				  "libpq accepts; it is ignored\n");
}

static void what_libpq_would_refuse_of_the_program_is_still_refused(void **state)
{
	(void)state;
	assert_false(REDIRECT(url, "nonsense=1")->found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(where_and_as_whom_comes_from_the_url),
	    cmocka_unit_test(the_rest_is_as_the_program_asked),
	    cmocka_unit_test(it_holds_however_the_program_asks),
	    cmocka_unit_test(what_the_url_does_not_name_is_libpqs_default_not_the_programs),
	    cmocka_unit_test(a_service_that_the_program_names_is_forgotten),
	    cmocka_unit_test(it_ranks_above_the_environment),
	    cmocka_unit_test(other_options_of_the_url_rank_above_the_programs),
	    cmocka_unit_test(its_own_parameters_are_honoured_and_removed),
	    cmocka_unit_test(a_url_that_libpq_refuses_is_said_and_ignored),
	    cmocka_unit_test(it_is_said_once),
	    cmocka_unit_test(what_libpq_would_refuse_of_the_program_is_still_refused),
	};
	static const char *const variables[] = {"PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER",
	    "PGDATABASE", "PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGAPPNAME", "PGOPTIONS"};

	for (size_t i = 0; i < COUNT(variables); i++)
		unsetenv(variables[i]);
	setenv("PQLEASH", "1", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
