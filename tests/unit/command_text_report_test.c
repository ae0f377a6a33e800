/*
 * The report for people: that no line is too wide whatever names there are, what is said when all is
 * well, and that colours are for terminals.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "text_report.h"

#define LONG_NAME \
	"a_very_long_name_of_a_suite_that_somebody_has_given_it_with_all_good_intentions_and_more"

static const struct place place = {"open_db", "/src/tests/db.c", 12, "/src/run", 0x12, false};
static const struct stack stack = {1, &place, 0};
static const struct place wide = {
    LONG_NAME, "/elsewhere/" LONG_NAME "/" LONG_NAME ".c", 123456, "/" LONG_NAME, 0x12, false};
static const struct stack wide_stack = {1, &wide, 0};

/* To be freed. */
static char *render(const struct run *run, bool colour)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	assert_true(text_report(run, colour, out));
	assert_int_equal(fclose(out), 0);
	return text;
}

static struct run run_of(struct finding *findings, size_t count)
{
	return (struct run){.process_count = 1,
	    .session_count = 9,
	    .findings = findings,
	    .finding_count = count,
	    .most_sessions = 7,
	    .most_backends = 3,
	    .limit = 3};
}

static struct finding leak(void)
{
	return (struct finding){.kind = FINDING_LEAKED,
	    .suite = "accounts",
	    .program = "run",
	    .where = &stack,
	    .count = 2,
	    .held_ms = 1500};
}

static void assert_fits(const char *text)
{
	while (*text) {
		size_t width = 0;

		for (; *text && *text != '\n'; text++)
			width += ((unsigned char)*text & 0xc0) != 0x80;
		assert_true(width <= 80);
		text += *text == '\n';
	}
}

static void a_finding_is_a_line_under_the_totals(void **state)
{
	struct finding finding = leak();
	struct run run = run_of(&finding, 1);
	char *text = render(&run, false);

	(void)state;
	assert_string_equal(text,
	    "pqleash: 2 leaked; 9 connections in 1 process\n"
	    "pqleash: the program held up to 7 connections at once; 3 sufficed (limit 3)\n"
	    "count what                  where                        suite           open\n"
	    "    2 leaked                /src/tests/db.c:12           accounts        1.5 s\n");
	free(text);
}

static void no_line_is_wider_than_80_columns(void **state)
{
	struct finding findings[FINDING_KINDS];
	const char *problems[] = {LONG_NAME " " LONG_NAME "\x1b[31m " LONG_NAME LONG_NAME};

	(void)state;
	for (int kind = 0; kind < FINDING_KINDS; kind++)
		findings[kind] = (struct finding){.kind = (enum finding_kind)kind,
		    .suite = kind % 2 ? "\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x98\xff\n" LONG_NAME
				      : LONG_NAME,
		    .test = LONG_NAME,
		    .program = LONG_NAME,
		    .where = &wide_stack,
		    .other = &wide_stack,
		    .details = LONG_NAME ", " LONG_NAME LONG_NAME,
		    .count = 1234567,
		    .held_ms = (int64_t)1 << (5 * kind)};
	struct run run = run_of(findings, FINDING_KINDS);
	run.problems = problems;
	run.problem_count = 1;
	char *text = render(&run, false);
	assert_fits(text);
	assert_null(strpbrk(text, "\x1b\r"));
	free(text);
	run.unseen = LONG_NAME " " LONG_NAME;
	text = render(&run, false);
	assert_fits(text);
	free(text);
}

static void all_is_well_in_one_line(void **state)
{
	struct run run = run_of(NULL, 0);

	(void)state;
	run.most_sessions = 3;
	char *text = render(&run, false);
	assert_string_equal(text, "pqleash: nothing leaked; 9 connections in 1 process\n");
	free(text);
	/* But what it would have needed is worth a second one. */
	run.most_sessions = 4;
	text = render(&run, false);
	assert_non_null(strstr(text, "held up to 4 connections at once; 3 sufficed (limit 3)\n"));
	free(text);
}

static void a_run_that_was_not_seen_is_not_called_green(void **state)
{
	struct run run = {.unseen = "run is statically linked"};
	char *text = render(&run, false);

	(void)state;
	assert_string_equal(text, "pqleash: nothing was intercepted: run is statically linked\n");
	free(text);
}

static void what_is_accepted_is_only_counted(void **state)
{
	struct finding findings[] = {leak(), leak()};
	struct run run = run_of(findings, 2);

	(void)state;
	findings[0].accepted = true;
	findings[1].suite = "billing";
	char *text = render(&run, false);
	assert_null(strstr(text, "accounts"));
	assert_non_null(strstr(text, "billing"));
	assert_non_null(strstr(text, "pqleash: at 1 place the findings are known (baseline)\n"));
	free(text);
}

static void after_fifty_lines_it_is_enough(void **state)
{
	struct finding findings[60];
	struct run run = run_of(findings, 60);

	(void)state;
	for (int i = 0; i < 60; i++)
		findings[i] = leak();
	char *text = render(&run, false);
	size_t lines = 0;
	for (const char *at = text; *at; at++)
		lines += *at == '\n';
	assert_int_equal(lines, 2 + 1 + 50 + 1);
	assert_non_null(strstr(text, "and at 10 more places"));
	free(text);
}

static void colours_are_asked_for(void **state)
{
	struct finding finding = leak();
	struct run run = run_of(&finding, 1);
	char *text = render(&run, true);

	(void)state;
	assert_non_null(strstr(text, "\033[31m    2 leaked"));
	free(text);
	/* A pipe or a file has none. */
	FILE *file = tmpfile();
	assert_false(text_report_colour(file));
	fclose(file);
}

static void a_terminal_has_them_unless_somebody_objects(void **state)
{
	FILE *terminal = fopen("/dev/ptmx", "r+");

	(void)state;
	assert_non_null(terminal);
	setenv("TERM", "xterm", 1);
	unsetenv("NO_COLOR");
	assert_true(text_report_colour(terminal));
	setenv("NO_COLOR", "", 1);
	assert_true(text_report_colour(terminal));
	setenv("NO_COLOR", "1", 1);
	assert_false(text_report_colour(terminal));
	unsetenv("NO_COLOR");
	setenv("TERM", "dumb", 1);
	assert_false(text_report_colour(terminal));
	fclose(terminal);
}

/* The suite's name is left out only where the place is in the file of that name. */
static void a_suite_is_told_unless_the_place_names_it(void **state)
{
	static const struct place inside = {"a", "/work/project/tests/db.c", 12, "/run", 1, false};
	static const struct stack at = {1, &inside, 0};
	struct finding finding = leak();
	struct run run = run_of(&finding, 1);

	(void)state;
	finding.where = &at;
	finding.suite = "tests";
	char *text = render(&run, false);
	assert_non_null(strstr(text, " tests/db.c:12                tests           1.5 s\n"));
	free(text);
	finding.suite = "tests/db.c";
	text = render(&run, false);
	assert_null(strstr(text, " tests/db.c "));
	free(text);
}

/* A broken clock, or a trace that was made up. */
static void no_number_is_too_wide(void **state)
{
	static const int64_t held[] = {INT64_MIN, -1, 0, 359999999999, 360000000000, INT64_MAX};
	static const unsigned long counts[] = {0, 99999, 100000, 9999999, 100000000, ULONG_MAX};
	struct finding finding = leak();
	struct run run = run_of(&finding, 1);

	(void)state;
	finding.where = &wide_stack;
	finding.suite = LONG_NAME;
	run.most_sessions = run.most_backends = run.limit = ULONG_MAX;
	for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
		finding.held_ms = held[i];
		finding.count = counts[i];
		char *text = render(&run, false);
		assert_fits(text);
		free(text);
	}
}

static void a_place_without_any_name_is_told(void **state)
{
	static const struct place nowhere = {NULL, NULL, 0, NULL, 0x1f, false};
	static const struct stack at = {1, &nowhere, 0};
	struct finding finding = leak();
	struct run run = run_of(&finding, 1);

	(void)state;
	finding.where = &at;
	char *text = render(&run, false);
	assert_non_null(strstr(text, " ?+0x1f "));
	free(text);
	finding.where = NULL;
	text = render(&run, false);
	assert_non_null(strstr(text, " run "));
	free(text);
}

static void a_full_disk_is_told(void **state)
{
	struct finding finding = leak();
	struct run run = run_of(&finding, 1);
	FILE *disk = fopen("/dev/full", "w");

	(void)state;
	assert_false(text_report(&run, false, disk));
	fclose(disk);
}

/* The root is looked for once in a process. */
static int set_root(void **state)
{
	(void)state;
	return setenv("GITHUB_WORKSPACE", "/work/project/", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_finding_is_a_line_under_the_totals),
	    cmocka_unit_test(no_line_is_wider_than_80_columns),
	    cmocka_unit_test(all_is_well_in_one_line),
	    cmocka_unit_test(a_run_that_was_not_seen_is_not_called_green),
	    cmocka_unit_test(what_is_accepted_is_only_counted),
	    cmocka_unit_test(after_fifty_lines_it_is_enough),
	    cmocka_unit_test(colours_are_asked_for),
	    cmocka_unit_test(a_terminal_has_them_unless_somebody_objects),
	    cmocka_unit_test(a_suite_is_told_unless_the_place_names_it),
	    cmocka_unit_test(no_number_is_too_wide),
	    cmocka_unit_test(a_place_without_any_name_is_told),
	    cmocka_unit_test(a_full_disk_is_told),
	};

	return cmocka_run_group_tests(tests, set_root, NULL);
}
