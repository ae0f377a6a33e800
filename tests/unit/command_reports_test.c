/*
 * The reports for machines and the page: what they say of a run built by hand, that they are valid
 * whatever names the program gave its suites, and that a full disk is noticed. Run at the top level: the
 * schemas are in tests/schemas.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <json-c/json.h>

#include "github_report.h"
#include "html_report.h"
#include "junit_report.h"
#include "sarif_report.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define NASTY \
	"</script><!--<b>&\"' \x01\x1b[31m\xff \xed\xa0\x80 ]]> %:,\r\n::error::\xc3\xa9 " \
	"\xe2\x80\xa8"

/* xmllint tells on stderr that all is well, too. */
#define SHOW_FAILURE(command) "said=$(" command " 2>&1) || { echo \"$said\" >&2; false; }"

typedef bool report(const struct run *, FILE *);

static const struct place opening[] = {
    {"connect_db", "/work/project/tests/db.c", 12, "/work/project/build/run_tests", 0x1234, true},
    {"accounts_setup", "/work/project/tests/a b#.c", 40, "/work/project/build/run_tests", 0x1299,
	false},
    {"__libc_start_main", NULL, 0, "/lib/libc.so.6", 0x99, false},
};
static const struct place stripped[] = {{NULL, NULL, 0, "/opt/other/run_tests", 0xabc, false}};
static const struct place nasty[] = {{NASTY, NASTY, 7, NASTY, UINT64_MAX, false}};
static const struct stack opened = {COUNT(opening), opening, 1};
static const struct stack unknown = {COUNT(stripped), stripped, 1};
static const struct stack hostile = {COUNT(nasty), nasty, 0};

static struct span attached[] = {{1700000000100, 1700000000400}, {1700000000900, 1700000001000}};
static struct session sessions[] = {
    {"run_tests", 7, 1, "accounts", "deposit", "app@db:5432/test", &opened, 1700000000100,
	1700000005000, .leaked = true, .attached_count = COUNT(attached), .attached = attached},
    {"run_tests", 7, 2, "billing", NULL, "app@db:5432/test", &opened, 1700000000200, 1700000000900,
	.finished = true},
    {"run_tests", 7, 3, "clients", NULL, NULL, NULL, 1700000000300, 1700000000300, .failed = true},
    {"run_tests", 7, 4, NASTY, NASTY, NASTY, &hostile, 1700000000300, 1700000005000,
	.finished = true},
};
static struct finding findings[] = {
    {.kind = FINDING_LEAKED,
	.suite = "accounts",
	.test = "deposit",
	.program = "run_tests",
	.target = "app@db:5432/test",
	.where = &opened,
	.count = 2,
	.held_ms = 4900},
    {.kind = FINDING_USED_AFTER_FINISH,
	.suite = NASTY,
	.test = NASTY,
	.program = NASTY,
	.target = NASTY,
	.where = &hostile,
	.other = &opened,
	.count = 1,
	.details = NASTY},
    {.kind = FINDING_POOL_EXHAUSTED,
	.suite = "dues",
	.program = "run_tests",
	.where = &unknown,
	.count = 1},
    {.kind = FINDING_RECLAIMED, .suite = "billing", .program = "run_tests", .count = 1},
};
static struct level levels[] = {
    {1700000000100, 1, 1}, {1700000000300, 4, 3}, {1700000005000, 0, 0}};
static const char *problems[] = {"pqleash: 7.jsonl: line 3 is cut off", NASTY};

static const struct run full = {
    .process_count = 1,
    .session_count = COUNT(sessions),
    .sessions = sessions,
    .finding_count = COUNT(findings),
    .findings = findings,
    .level_count = COUNT(levels),
    .levels = levels,
    .most_sessions = 4,
    .most_backends = 3,
    .limit = 3,
    .began_ms = 1700000000000,
    .ended_ms = 1700000005000,
    .problem_count = COUNT(problems),
    .problems = problems,
};
static const struct run empty = {.limit = 3};

static report *const reports[] = {junit_report, sarif_report, github_report, html_report};

/* What the report says; to be freed. */
static char *render(report *write, const struct run *run)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	assert_non_null(out);
	assert_true(write(run, out));
	assert_int_equal(fclose(out), 0);
	assert_int_equal(strlen(text), length);
	return text;
}

/* A run with this one finding; the findings are copied, so that each test may change its own. */
static struct run run_of(struct finding *copy, const struct finding *finding)
{
	*copy = *finding;
	return (struct run){.finding_count = 1, .findings = copy, .limit = 3};
}

static size_t occurrences(const char *text, const char *wanted)
{
	size_t count = 0;

	while ((text = strstr(text, wanted))) {
		text += strlen(wanted);
		count++;
	}
	return count;
}

static void assert_contains(const char *text, const char *wanted)
{
	if (!strstr(text, wanted))
		fail_msg("no %s in:\n%s", wanted, text);
}

/* The command gets the name of a file with the report as its %s. */
static void assert_accepted(report *write, const struct run *run, const char *command)
{
	char path[] = "/tmp/pqleash-report-XXXXXX", line[512];
	int descriptor = mkstemp(path);
	FILE *out = fdopen(descriptor, "w");

	assert_non_null(out);
	assert_true(write(run, out));
	assert_int_equal(fclose(out), 0);
	snprintf(line, sizeof line, command, path);
	int status = system(line);
	unlink(path);
	if (status != 0)
		fail_msg("%s: status %d", line, status);
}

static void junit_is_valid_by_both_schemas(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		const struct run *run = i ? &full : &empty;

		assert_accepted(junit_report, run,
		    SHOW_FAILURE(
			"xmllint --nonet --noout --schema tests/schemas/junit-ant.xsd %s"));
		assert_accepted(junit_report, run,
		    SHOW_FAILURE(
			"xmllint --nonet --noout --schema tests/schemas/junit-jenkins.xsd %s"));
	}
}

static void junit_has_a_case_for_each_suite_and_a_failure_for_each_leaking_one(void **state)
{
	char *text = render(junit_report, &full);

	(void)state;
	/* Two programs have the nasty suite; dues has a finding and no session. */
	assert_contains(text, " tests=\"6\" failures=\"3\"");
	assert_int_equal(occurrences(text, "<testcase "), 6);
	assert_int_equal(occurrences(text, "<failure "), 3);
	assert_contains(text,
	    "<testcase name=\"accounts\" classname=\"run_tests\" time=\"4.900\">\n\t\t\t"
	    "<failure type=\"leaked\" message=\"2 connections opened here were never "
	    "finished; suite accounts, test deposit, open for up to 4.9 s, target "
	    "app@db:5432/test\">");
	assert_contains(text, "accounts_setup (tests/a b#.c:40)");
	assert_contains(
	    text, "<testcase name=\"billing\" classname=\"run_tests\" time=\"0.700\"/>");
	free(text);
}

static void junit_passes_a_suite_whose_findings_are_accepted_or_harmless(void **state)
{
	struct finding finding;
	struct run run = run_of(&finding, &findings[0]);

	(void)state;
	finding.accepted = true;
	for (int i = 0; i < 2; i++) {
		char *text = render(junit_report, &run);

		assert_contains(text, " tests=\"1\" failures=\"0\"");
		assert_contains(text, i ? "outlived" : "leaked (accepted by the baseline): ");
		free(text);
		finding.accepted = false;
		finding.kind = FINDING_OUTLIVED_SUITE;
	}
}

static void sarif_is_valid(void **state)
{
	static const char command[] =
	    "/usr/bin/python3 -W ignore -m jsonschema -i %s tests/schemas/sarif-2.1.0.json";

	(void)state;
	assert_accepted(sarif_report, &full, command);
	assert_accepted(sarif_report, &empty, command);
}

/* By keys and, in an array, indexes: "runs 0 results". */
static struct json_object *dig(struct json_object *at, const char *path)
{
	char *copy = strdup(path), *rest = copy, *part;

	while (at && (part = strsep(&rest, " ")))
		at = json_object_is_type(at, json_type_array)
			 ? json_object_array_get_idx(at, strtoul(part, NULL, 10))
			 : json_object_object_get(at, part);
	free(copy);
	if (!at)
		fail_msg("no %s", path);
	return at;
}

static struct json_object *parse(report *write, const struct run *run)
{
	char *text = render(write, run);
	struct json_object *object = json_tokener_parse(text);

	free(text);
	assert_non_null(object);
	return object;
}

static void assert_has(struct json_object *object, const char *path, const char *expected)
{
	assert_string_equal(json_object_get_string(dig(object, path)), expected);
}

static void sarif_points_at_file_line_and_function(void **state)
{
	struct json_object *log = parse(sarif_report, &full);
	struct json_object *result = dig(log, "runs 0 results 0");

	(void)state;
	assert_has(result, "ruleId", "leaked");
	assert_has(result, "level", "error");
	assert_has(result, "occurrenceCount", "2");
	assert_has(result, "locations 0 physicalLocation artifactLocation uri", "tests/a%20b%23.c");
	assert_has(result, "locations 0 physicalLocation artifactLocation uriBaseId", "%SRCROOT%");
	assert_has(result, "locations 0 physicalLocation region startLine", "40");
	assert_has(result, "locations 0 logicalLocations 0 name", "accounts_setup");
	assert_has(result, "stacks 0 frames 0 location physicalLocation region startLine", "12");
	assert_has(log, "runs 0 tool driver rules 1 id", "used-after-finish");
	assert_int_equal(
	    json_object_array_length(dig(log, "runs 0 tool driver rules")), FINDING_KINDS);
	assert_int_equal(json_object_array_length(dig(log, "runs 0 results")), COUNT(findings));
	assert_has(log, "runs 0 results 3 level", "warning");
	json_object_put(log);
}

static void sarif_tells_both_places_of_a_misuse_as_steps(void **state)
{
	struct finding finding;
	struct run run = run_of(&finding, &findings[1]);
	struct json_object *log = parse(sarif_report, &run);
	struct json_object *steps =
	    dig(log, "runs 0 results 0 codeFlows 0 threadFlows 0 locations");

	(void)state;
	assert_has(steps, "0 location message text", "Finished here.");
	assert_has(steps, "0 location logicalLocations 0 name", "accounts_setup");
	assert_has(steps, "1 location message text", "Used here.");
	assert_has(log, "runs 0 results 0 stacks 1 message text", "Where it was finished.");
	json_object_put(log);
}

/* Of the finding with this index; to be freed. */
static char *fingerprint(const struct run *run, int index)
{
	struct json_object *log = parse(sarif_report, run);
	char path[64];

	snprintf(path, sizeof path, "runs 0 results %d partialFingerprints pqleash/v1", index);
	char *copy = strdup(json_object_get_string(dig(log, path)));
	json_object_put(log);
	return copy;
}

static void sarif_fingerprints_survive_that_lines_move(void **state)
{
	struct place moved[] = {opening[0], opening[1], opening[2]};
	struct stack elsewhere = {COUNT(moved), moved, 1};
	struct finding finding;
	struct run run = run_of(&finding, &findings[0]);
	char *before = fingerprint(&run, 0), *after, *renamed;

	(void)state;
	moved[0].line = moved[1].line = 99;
	moved[1].offset = 5;
	finding.where = &elsewhere;
	after = fingerprint(&run, 0);
	assert_string_equal(before, after);
	moved[1].function = "renamed";
	renamed = fingerprint(&run, 0);
	assert_string_not_equal(before, renamed);
	free(before);
	free(after);
	free(renamed);
}

static void sarif_tells_two_findings_of_one_function_apart(void **state)
{
	struct finding twins[] = {findings[0], findings[0]};
	struct run run = {.finding_count = 2, .findings = twins};
	char *first = fingerprint(&run, 0), *second = fingerprint(&run, 1);

	(void)state;
	assert_string_not_equal(first, second);
	free(first);
	free(second);
}

static void sarif_suppresses_what_the_baseline_accepts(void **state)
{
	struct finding finding;
	struct run run = run_of(&finding, &findings[0]);

	(void)state;
	finding.accepted = true;
	struct json_object *log = parse(sarif_report, &run);
	assert_has(log, "runs 0 results 0 suppressions 0 kind", "external");
	json_object_put(log);
}

static void github_says_file_line_and_title_in_one_line(void **state)
{
	struct finding finding;
	struct run run = run_of(&finding, &findings[0]);
	char *text = render(github_report, &run);

	(void)state;
	assert_string_equal(text,
	    "::error file=tests/a b#.c,line=40,title=pqleash%3A leaked::2 connections opened here "
	    "were "
	    "never finished; suite accounts, test deposit, open for up to 4.9 s, target "
	    "app@db:5432/test%0Aat connect_db (tests/db.c:12)%0A    by accounts_setup (tests/a "
	    "b#.c:40)%0A    by __libc_start_main in /lib/libc.so.6\n");
	free(text);
}

static void github_names_no_file_where_none_is_known(void **state)
{
	struct finding finding;
	struct run run = run_of(&finding, &findings[2]);
	char *text = render(github_report, &run);

	(void)state;
	assert_string_equal(text,
	    "::error title=pqleash%3A pool exhausted::1 connection found the pool "
	    "exhausted here; suite dues%0Aat /opt/other/run_tests+0xabc\n");
	free(text);
}

/* A name that could begin a command, or end a property, stays within its own. */
static void github_escapes_every_name(void **state)
{
	char *text = render(github_report, &full);

	(void)state;
	assert_int_equal(occurrences(text, "\n"), COUNT(findings));
	assert_int_equal(occurrences(text, "\n::"), COUNT(findings) - 1);
	assert_contains(text, " %25%3A%2C");
	assert_null(strpbrk(text, "\r\x01\x1b"));
	free(text);
}

static void github_leaves_out_what_the_baseline_accepts_and_only_warns_of_the_harmless(void **state)
{
	struct finding finding;
	struct run run = run_of(&finding, &findings[3]);
	char *warning = render(github_report, &run);

	(void)state;
	assert_int_equal(strncmp(warning, "::warning title=", strlen("::warning title=")), 0);
	finding.accepted = true;
	char *nothing = render(github_report, &run);
	assert_string_equal(nothing, "");
	free(warning);
	free(nothing);
}

/* What the page's script reads. */
static struct json_object *data_of(const char *page)
{
	static const char before[] = "<script type=\"application/json\" id=\"run\">";
	const char *begin = strstr(page, before), *end;

	assert_non_null(begin);
	begin += strlen(before);
	end = strchr(begin, '<');
	assert_int_equal(strncmp(end, "</script>\n<script>\n", strlen("</script>\n<script>\n")), 0);
	char *data = strndup(begin, (size_t)(end - begin));
	struct json_object *object = json_tokener_parse(data);
	free(data);
	assert_non_null(object);
	return object;
}

static void html_carries_the_run_as_json(void **state)
{
	char *page = render(html_report, &full);
	struct json_object *data = data_of(page);

	(void)state;
	assert_int_equal(json_object_array_length(dig(data, "sessions")), COUNT(sessions));
	assert_int_equal(json_object_array_length(dig(data, "findings")), COUNT(findings));
	assert_int_equal(json_object_array_length(dig(data, "levels")), COUNT(levels));
	assert_int_equal(json_object_array_length(dig(data, "problems")), COUNT(problems));
	assert_int_equal(json_object_array_length(dig(data, "stacks")), 3);
	assert_has(data, "texts 0", "accounts");
	assert_has(data, "sessions 0 10", "[ 100, 400, 900, 1000 ]");
	assert_has(data, "totals limit", "3");
	json_object_put(data);
	free(page);
}

/* Names add no element: there are as many as in a page without sessions. */
static void html_is_safe_from_names(void **state)
{
	char *page = render(html_report, &full), *bare = render(html_report, &empty);

	(void)state;
	assert_int_equal(occurrences(page, "<"), occurrences(bare, "<"));
	assert_int_equal(occurrences(page, "</script>"), 2);
	free(page);
	free(bare);
}

static void html_loads_nothing_from_outside(void **state)
{
	char *page = render(html_report, &empty);

	(void)state;
	assert_contains(page, "default-src 'none'");
	assert_null(strstr(page, " src="));
	assert_null(strstr(page, "url("));
	assert_null(strstr(page, "@import"));
	/* The name space of SVG is never fetched. */
	assert_int_equal(occurrences(page, "://"), occurrences(page, "http://www.w3.org/2000/svg"));
	free(page);
}

static void what_cannot_be_written_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(reports); i++) {
		FILE *disk = fopen("/dev/full", "w");

		assert_non_null(disk);
		assert_false(reports[i](&full, disk));
		fclose(disk);
	}
}

static void assert_text(const char *text, const char *expected)
{
	char *clean = annotation_text(text);

	assert_string_equal(clean, expected);
	free(clean);
}

static void texts_become_what_json_and_xml_can_carry(void **state)
{
	(void)state;
	assert_text(NULL, "");
	assert_text("a\tb\nc", "a\tb\nc");
	assert_text("\x01 \x1b \x7f \r", "\xef\xbf\xbd \xef\xbf\xbd \xef\xbf\xbd \xef\xbf\xbd");
	assert_text(
	    "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x98", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x98");
	assert_text("\xc3", "\xef\xbf\xbd");
	assert_text("\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd");
	assert_text("\xef\xbf\xbf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static void assert_path(const char *file, const char *expected)
{
	char *path = annotation_path(file);

	assert_string_equal(path, expected);
	free(path);
}

static void paths_are_below_the_root_of_the_source_tree(void **state)
{
	(void)state;
	assert_path("/work/project/tests/a.c", "tests/a.c");
	assert_path("/work/project/build/../tests/./x//a.c", "tests/x/a.c");
	assert_path("./tests/a.c", "tests/a.c");
	assert_path("/work/project2/a.c", "/work/project2/a.c");
	assert_path("/usr/src/lib/../b.c", "/usr/src/b.c");
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
	    cmocka_unit_test(junit_is_valid_by_both_schemas),
	    cmocka_unit_test(junit_has_a_case_for_each_suite_and_a_failure_for_each_leaking_one),
	    cmocka_unit_test(junit_passes_a_suite_whose_findings_are_accepted_or_harmless),
	    cmocka_unit_test(sarif_is_valid),
	    cmocka_unit_test(sarif_points_at_file_line_and_function),
	    cmocka_unit_test(sarif_tells_both_places_of_a_misuse_as_steps),
	    cmocka_unit_test(sarif_fingerprints_survive_that_lines_move),
	    cmocka_unit_test(sarif_tells_two_findings_of_one_function_apart),
	    cmocka_unit_test(sarif_suppresses_what_the_baseline_accepts),
	    cmocka_unit_test(github_says_file_line_and_title_in_one_line),
	    cmocka_unit_test(github_names_no_file_where_none_is_known),
	    cmocka_unit_test(github_escapes_every_name),
	    cmocka_unit_test(
		github_leaves_out_what_the_baseline_accepts_and_only_warns_of_the_harmless),
	    cmocka_unit_test(html_carries_the_run_as_json),
	    cmocka_unit_test(html_is_safe_from_names),
	    cmocka_unit_test(html_loads_nothing_from_outside),
	    cmocka_unit_test(what_cannot_be_written_is_told),
	    cmocka_unit_test(texts_become_what_json_and_xml_can_carry),
	    cmocka_unit_test(paths_are_below_the_root_of_the_source_tree),
	};

	return cmocka_run_group_tests(tests, set_root, NULL);
}
