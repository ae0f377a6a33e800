/*
 * The gate, its baseline and the JSON report: which findings fail a run, what hostile files do to a
 * baseline, and that the JSON can be read again whatever names the program gave its suites.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <json-c/json.h>

#include "gate.h"
#include "json_report.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define FIRST_LINE "# pqleash baseline 1\n"
#define NASTY "\"\\</script>\x01\x1b[31m\xff \xed\xa0\x80\r\n\xc3\xa9"
#define REPLACED "\xef\xbf\xbd"
#define NASTY_CLEAN \
	"\"\\</script>" REPLACED REPLACED "[31m" REPLACED " " REPLACED REPLACED REPLACED REPLACED \
	"\n\xc3\xa9"

/* What belongs to a run is never freed, so a baseline is not, either. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static char folder[] = "/tmp/pqleash-gate-XXXXXX";
static char path[64];

static const struct place places[] = {
    {"open_db", "/work/project/tests/db.c", 12, "/work/run", 0x12, true},
    {NULL, NULL, 0, "/work/run", 0xabc, false},
};
static const struct stack opened = {COUNT(places), places, 0};

/* The run has all kinds, each once; the keys are leaked|a, used after finish|a, ... */
static struct finding findings[FINDING_KINDS];
static char keys[FINDING_KINDS][64];
static struct run all_kinds;

static int begin(void **state)
{
	(void)state;
	for (int kind = 0; kind < FINDING_KINDS; kind++) {
		snprintf(
		    keys[kind], sizeof keys[kind], "%s|a", finding_name((enum finding_kind)kind));
		findings[kind] = (struct finding){.kind = (enum finding_kind)kind,
		    .suite = "a",
		    .program = "run",
		    .count = 7,
		    .key = keys[kind]};
	}
	all_kinds = (struct run){.finding_count = FINDING_KINDS, .findings = findings, .limit = 3};
	return 0;
}

static int end(void **state)
{
	(void)state;
	remove(path);
	return 0;
}

/* ---- Which kinds ---- */

static void by_default_only_errors_fail(void **state)
{
	struct gate gate;

	(void)state;
	gate_default(&gate);
	for (int kind = 0; kind < FINDING_KINDS; kind++)
		assert_int_equal(gate.fails[kind], kind <= FINDING_POOL_EXHAUSTED);
	assert_int_equal(gate_failures(&gate, &all_kinds), 5);
	findings[FINDING_LEAKED].accepted = true;
	findings[FINDING_RECLAIMED].accepted = true;
	assert_int_equal(gate_failures(&gate, &all_kinds), 4);
}

static unsigned long failures_of(const char *list)
{
	struct gate gate;
	const char *wrong;
	size_t length;

	if (!gate_parse(&gate, list, &wrong, &length))
		fail_msg("\"%s\": \"%.*s\" is no name", list, (int)length, wrong);
	return gate_failures(&gate, &all_kinds);
}

static void lists_of_names_are_understood(void **state)
{
	(void)state;
	assert_int_equal(failures_of("all"), FINDING_KINDS);
	assert_int_equal(failures_of("none"), 0);
	assert_int_equal(failures_of("leaked"), 1);
	assert_int_equal(failures_of("leaked,leaked"), 1);
	assert_int_equal(failures_of("used-after-finish,used after finish"), 1);
	assert_int_equal(failures_of("reclaimed,failed-connect-never-finished"), 2);
	assert_int_equal(failures_of("none,leaked"), 1);
}

/* As a refusal prints it. */
static void what_gate_names_says_can_be_typed(void **state)
{
	(void)state;
	assert_string_equal(gate_names(),
	    "leaked, used-after-finish, finished-twice, transaction-left-open, pool-exhausted, "
	    "reclaimed, outlived-its-suite, failed-connect-never-finished, all, none");
	assert_string_equal(gate_names(), gate_names());
	assert_int_equal(failures_of(gate_names()), FINDING_KINDS);
}

static void what_is_no_name_is_pointed_at(void **state)
{
	static const struct {
		const char *list, *wrong;
	} cases[] = {{"", ""}, {",", ""}, {"leaked,", ""}, {"leaked,,all", ""}, {"leake", "leake"},
	    {"leakedx", "leakedx"}, {"Leaked", "Leaked"}, {"leaked,foo,all", "foo"},
	    {"used-after", "used-after"}, {"all none", "all none"}, {"\xff|%s", "\xff|%s"}};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct gate gate;
		const char *wrong = NULL;
		size_t length = 99;

		assert_false(gate_parse(&gate, cases[i].list, &wrong, &length));
		assert_true(wrong >= cases[i].list);
		assert_int_equal(length, strlen(cases[i].wrong));
		assert_memory_equal(wrong, cases[i].wrong, length);
	}
}

/* ---- The baseline ---- */

static void write_bytes(const char *bytes, size_t length)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

static void assert_contents(const char *expected)
{
	char text[4096];
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	text[fread(text, 1, sizeof text - 1, file)] = '\0';
	fclose(file);
	assert_non_null(strchr(text, '\n'));
	assert_string_equal(strchr(text, '\n') + 1, expected);
}

/* The problem is one line with this in it. */
static void assert_refused(const char *name, const char *why)
{
	char *problem = NULL;

	assert_null(baseline_read(name, &problem));
	assert_non_null(problem);
	if (!strstr(problem, why))
		fail_msg("no \"%s\" in: %s", why, problem);
	assert_null(strchr(problem, '\n'));
	free(problem);
}

static struct baseline *assert_read(const char *bytes, size_t length)
{
	char *problem = NULL;

	write_bytes(bytes, length);
	struct baseline *baseline = baseline_read(path, &problem);
	if (!baseline)
		fail_msg("%s", problem);
	return baseline;
}

static void a_baseline_accepts_its_keys_and_tells_the_others(void **state)
{
	static const char text[] = FIRST_LINE "\n# why\r\nleaked|a\r\nleaked|gone\nreclaimed|a";
	struct baseline *baseline = assert_read(text, strlen(text));

	(void)state;
	assert_int_equal(baseline_apply(baseline, &all_kinds), 1);
	assert_string_equal(baseline_stale(baseline, 0), "leaked|gone");
	for (int kind = 0; kind < FINDING_KINDS; kind++)
		assert_int_equal(
		    findings[kind].accepted, kind == FINDING_LEAKED || kind == FINDING_RECLAIMED);
}

static void hostile_files_are_refused_with_a_reason(void **state)
{
	static const char nul[] = FIRST_LINE "leaked|a\0b\n";

	(void)state;
	assert_refused("/nonexistent/\n\x1b/file", "No such file");
	assert_refused(folder, "is not a file");
	assert_refused("/dev/zero", "is not a file");
	write_bytes("", 0);
	assert_refused(path, "is empty");
	write_bytes("\0\0\0\n", 4);
	assert_refused(path, "is no baseline");
	write_bytes("leaked|a\n", 9);
	assert_refused(path, "is no baseline");
	write_bytes(FIRST_LINE "\nleaked\n", strlen(FIRST_LINE "\nleaked\n"));
	assert_refused(path, "line 3 is no finding");
	write_bytes(nul, sizeof nul - 1);
	assert_refused(path, "line 2 is no finding");
	assert_int_equal(truncate(path, ((off_t)64 << 20) + 1), 0);
	assert_refused(path, "is larger than 64 MB");
}

/* A later version is another format. */
static void another_version_is_refused(void **state)
{
	static const char later[] = "# pqleash baseline 12\nleaked|a\n";

	(void)state;
	write_bytes(later, strlen(later));
	assert_refused(path, "is no baseline");
}

/* Opening it must not wait for somebody who writes into it. */
static void a_fifo_is_refused_at_once(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	alarm(10);
	assert_refused(path, "is not a file");
	alarm(0);
}

static void a_long_line_is_a_key_like_others(void **state)
{
	size_t length = (size_t)1 << 20;
	char *text = malloc(length + 1);

	(void)state;
	assert_non_null(text);
	memset(text, '|', length);
	memcpy(text, FIRST_LINE, strlen(FIRST_LINE));
	text[length] = '\0';
	struct baseline *baseline = assert_read(text, length);
	assert_int_equal(baseline_apply(baseline, &all_kinds), 1);
	assert_int_equal(strlen(baseline_stale(baseline, 0)), length - strlen(FIRST_LINE));
	free(text);
}

static void a_baseline_is_made_of_all_findings_sorted(void **state)
{
	char *problem = NULL;
	struct stat found;
	mode_t mask = umask(022);

	(void)state;
	all_kinds.finding_count = 3;
	findings[2].key = findings[0].key;
	assert_true(baseline_write(path, NULL, &all_kinds, &problem));
	umask(mask);
	assert_contents("leaked|a\nused after finish|a\n");
	for (int i = 0; i < 3; i++)
		assert_true(findings[i].accepted);
	assert_int_equal(stat(path, &found), 0);
	assert_int_equal(found.st_mode & 07777, 0644);
	struct baseline *baseline = baseline_read(path, &problem);
	assert_non_null(baseline);
	assert_int_equal(baseline_apply(baseline, &all_kinds), 0);
}

static void a_baseline_shrinks_and_never_grows(void **state)
{
	static const char text[] = FIRST_LINE "reclaimed|a\nleaked|gone\nleaked|a\n";
	struct baseline *baseline = assert_read(text, strlen(text));
	char *problem = NULL;

	(void)state;
	baseline_apply(baseline, &all_kinds);
	assert_true(baseline_write(path, baseline, &all_kinds, &problem));
	assert_contents("leaked|a\nreclaimed|a\n");
}

static void what_cannot_be_written_is_told_and_leaves_nothing(void **state)
{
	char *problem = NULL, inside[sizeof path + 8];

	(void)state;
	assert_false(baseline_write("/nonexistent/\n/file", NULL, &all_kinds, &problem));
	assert_non_null(strstr(problem, "No such file"));
	assert_null(strchr(problem, '\n'));
	free(problem);
	/* The rename fails after the temporary file was written; the folder is empty then. */
	snprintf(inside, sizeof inside, "%s/kept", path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(mkdir(inside, 0700), 0);
	assert_false(baseline_write(path, NULL, &all_kinds, &problem));
	free(problem);
	assert_int_equal(rmdir(inside), 0);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(mkdir(folder, 0700), 0);
}

/* ---- JSON ---- */

static struct json_object *parse(const struct run *run)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	struct json_tokener *tokener = json_tokener_new();

	assert_non_null(out);
	assert_true(json_report(run, out));
	assert_int_equal(fclose(out), 0);
	/* Not JSON_TOKENER_STRICT, in which json-c 0.18 refuses every byte that is not ASCII. */
	json_tokener_set_flags(tokener, JSON_TOKENER_VALIDATE_UTF8);
	struct json_object *object = json_tokener_parse_ex(tokener, text, (int)length);
	if (!object)
		fail_msg("%s: %s", json_tokener_error_desc(json_tokener_get_error(tokener)), text);
	json_tokener_free(tokener);
	free(text);
	return object;
}

/* By keys and, in an array, indexes: "findings 0 place"; NULL where there is none. */
static struct json_object *dig(struct json_object *at, const char *names)
{
	char *copy = strdup(names), *rest = copy, *part;

	while (at && (part = strsep(&rest, " ")))
		at = json_object_is_type(at, json_type_array)
			 ? json_object_array_get_idx(at, strtoul(part, NULL, 10))
			 : json_object_object_get(at, part);
	free(copy);
	return at;
}

static void assert_has(struct json_object *object, const char *names, const char *expected)
{
	struct json_object *found = dig(object, names);

	if (!found)
		fail_msg("no %s", names);
	assert_string_equal(json_object_get_string(found), expected);
}

static void json_has_totals_findings_and_sessions(void **state)
{
	struct session sessions[] = {
	    {"run", 7, 1, "a", "t", "u@h:1/d", &opened, 1000, 5000, .leaked = true},
	    {"run", 7, 2, NULL, NULL, NULL, NULL, 1000, 1001, .failed = true}};
	struct finding finding = {.kind = FINDING_USED_AFTER_FINISH,
	    .suite = "a",
	    .program = "run",
	    .where = &opened,
	    .other = &opened,
	    .count = 2,
	    .held_ms = 4000,
	    .key = "k|a"};
	struct run run = {.process_count = 1,
	    .session_count = 2,
	    .sessions = sessions,
	    .finding_count = 1,
	    .findings = &finding,
	    .most_sessions = 9,
	    .most_backends = 3,
	    .limit = 3,
	    .began_ms = INT64_MIN,
	    .ended_ms = INT64_MAX};
	struct json_object *object = parse(&run);

	(void)state;
	assert_has(object, "version", "1");
	assert_has(object, "totals sessions", "2");
	assert_has(object, "totals leaked", "1");
	assert_has(object, "totals ended_ms", "9223372036854775807");
	assert_has(object, "findings 0 kind", "used-after-finish");
	assert_has(object, "findings 0 error", "true");
	assert_has(object, "findings 0 accepted", "false");
	assert_has(object, "findings 0 place file", "tests/db.c");
	assert_has(object, "findings 0 stack 1 offset", "0xabc");
	assert_has(object, "findings 0 finished_at 0 line", "12");
	assert_has(object, "sessions 1 failed", "true");
	assert_null(dig(object, "findings 0 stack 1 function"));
	assert_null(dig(object, "findings 0 details"));
	assert_null(dig(object, "sessions 1 suite"));
	assert_null(dig(object, "unseen"));
	json_object_put(object);
}

static void json_is_valid_whatever_the_names(void **state)
{
	static const struct place place = {NASTY, NASTY, 1, NASTY, UINT64_MAX, false};
	static const struct stack stack = {1, &place, 0};
	struct session session = {NASTY, 7, 1, NASTY, NASTY, NASTY, &stack, 1, 2, .finished = true};
	struct finding finding = {.suite = NASTY,
	    .test = NASTY,
	    .program = NASTY,
	    .target = NASTY,
	    .where = &stack,
	    .other = &stack,
	    .details = NASTY,
	    .key = NASTY};
	const char *problems[] = {NASTY};
	struct run run = {.session_count = 1,
	    .sessions = &session,
	    .finding_count = 1,
	    .findings = &finding,
	    .unseen = NASTY,
	    .problem_count = 1,
	    .problems = problems};
	struct json_object *object = parse(&run);

	(void)state;
	assert_has(object, "unseen", NASTY_CLEAN);
	assert_has(object, "problems 0", NASTY_CLEAN);
	assert_has(object, "sessions 0 suite", NASTY_CLEAN);
	assert_has(object, "findings 0 details", NASTY_CLEAN);
	assert_has(object, "findings 0 place module", NASTY_CLEAN);
	assert_has(object, "findings 0 place offset", "0xffffffffffffffff");
	json_object_put(object);
}

static void json_of_an_empty_run_has_empty_lists(void **state)
{
	struct run run = {.limit = 3};
	struct json_object *object = parse(&run);

	(void)state;
	assert_int_equal(json_object_array_length(dig(object, "findings")), 0);
	assert_int_equal(json_object_array_length(dig(object, "sessions")), 0);
	assert_int_equal(json_object_array_length(dig(object, "problems")), 0);
	json_object_put(object);
}

static void json_tells_a_full_disk(void **state)
{
	FILE *disk = fopen("/dev/full", "w");

	(void)state;
	assert_non_null(disk);
	assert_false(json_report(&all_kinds, disk));
	fclose(disk);
}

/* The root of the sources is looked for once in a process. */
static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/baseline", folder);
	return setenv("GITHUB_WORKSPACE", "/work/project/", 1);
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(by_default_only_errors_fail),
	    TEST(lists_of_names_are_understood),
	    TEST(what_gate_names_says_can_be_typed),
	    TEST(what_is_no_name_is_pointed_at),
	    TEST(a_baseline_accepts_its_keys_and_tells_the_others),
	    TEST(hostile_files_are_refused_with_a_reason),
	    TEST(another_version_is_refused),
	    TEST(a_fifo_is_refused_at_once),
	    TEST(a_long_line_is_a_key_like_others),
	    TEST(a_baseline_is_made_of_all_findings_sorted),
	    TEST(a_baseline_shrinks_and_never_grows),
	    TEST(what_cannot_be_written_is_told_and_leaves_nothing),
	    TEST(json_has_totals_findings_and_sessions),
	    TEST(json_is_valid_whatever_the_names),
	    TEST(json_of_an_empty_run_has_empty_lists),
	    TEST(json_tells_a_full_disk),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
