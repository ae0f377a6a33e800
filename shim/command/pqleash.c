/*
 * The command: pqleash [options] [--] program [arguments], and pqleash report [options] folder.
 * Turns options into PQLEASH_* variables, puts libpqleash.so into LD_PRELOAD, runs the program and
 * reports. What it refuses itself ends in status 125, so that nobody takes it for a failed test.
 * Never talks to a server, never repeats a URL: it holds a password.
 */
#include "complain.h"
#include "launch.h"
#include "ld_preload.h"
#include "pqleash_settings.h"
#include "pqleash_settings_check.h"
#include "report.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct option {
	const char *name; /* with underscores */
	const char *variable;
	enum setting_kind kind;
	const char *initial; /* what the object assumes; "" for nothing */
	long minimum, maximum;
	const char *metavariable, *help;
};

#define OPTION(id, variable, kind, initial, minimum, maximum, metavariable, help) \
	{#id, "PQLEASH_" #variable, SETTING_##kind, initial, minimum, maximum, metavariable, help},

static const struct option options[] = {PQLEASH_SETTINGS(OPTION)};
static const size_t option_count = sizeof options / sizeof *options;

/* How a run is reported. */
enum wish {
	WISH_JSON,
	WISH_JUNIT,
	WISH_SARIF,
	WISH_HTML,
	WISH_GITHUB,
	WISH_FAIL_ON,
	WISH_BASELINE,
	WISH_WRITE_BASELINE
};

struct report_option {
	const char *name;
	enum { NO_VALUE, MAY_HAVE_VALUE, NEEDS_VALUE } value;
	const char *metavariable, *help;
};

static const struct report_option report_options[] = {
    [WISH_JSON] = {"json", MAY_HAVE_VALUE, "FILE",
	"all that was found as JSON, on stdout or in FILE"},
    [WISH_JUNIT] = {"junit", MAY_HAVE_VALUE, "FILE",
	"a JUnit test case for each suite, a failure for each that leaks"},
    [WISH_SARIF] = {"sarif", MAY_HAVE_VALUE, "FILE",
	"SARIF 2.1.0, for code hosts that show findings on their lines"},
    [WISH_HTML] = {"html", NEEDS_VALUE, "FILE", "a page to look at, in one file"},
    [WISH_GITHUB] = {"github", NO_VALUE, "", "annotations for GitHub Actions, on stdout"},
    [WISH_FAIL_ON] = {"fail_on", NEEDS_VALUE, "LIST",
	"findings that fail the run; by default leaked, used-after-finish, finished-twice, "
	"transaction-left-open and pool-exhausted"},
    [WISH_BASELINE] = {"baseline", NEEDS_VALUE, "FILE",
	"findings that are known already, and fail nothing"},
    [WISH_WRITE_BASELINE] = {"write_baseline", NO_VALUE, "",
	"make that file if there is none; else take out what is not found any more"},
};
static const size_t report_option_count = sizeof report_options / sizeof *report_options;

static void set_variable(const char *variable, const char *value)
{
	if (setenv(variable, value, 1) != 0)
		refuse("no memory for %s", variable);
}

/* An option's name as the user types it. */
static struct shown dashed(const char *option)
{
	struct shown name = show(option);

	for (char *c = name.text; *c; c++)
		if (*c == '_')
			*c = '-';
	return name;
}

/* Whether the first length bytes of typed are this name, with dashes or underscores. */
static bool is_name(const char *name, const char *typed, size_t length)
{
	if (strlen(name) != length)
		return false;
	for (size_t i = 0; i < length; i++)
		if ((typed[i] == '-' ? '_' : typed[i]) != name[i])
			return false;
	return true;
}

static const struct option *find_option(const char *typed, size_t length)
{
	for (size_t i = 0; i < option_count; i++)
		if (is_name(options[i].name, typed, length))
			return &options[i];
	return NULL;
}

static void set_option(const struct option *option, const char *value)
{
	struct shown name = dashed(option->name);
	char allowed[SETTING_ALLOWED_ROOM];

	setting_allowed(option->kind, option->minimum, option->maximum, allowed);
	if (!value)
		refuse("--%s needs a value: %s" SEE_HELP, name.text, allowed);
	if (setting_valid(option->kind, option->minimum, option->maximum, value))
		set_variable(option->variable, value);
	else if (option->kind == SETTING_URL)
		refuse("the value of --%s is not valid; allowed is %s", name.text, allowed);
	else
		refuse("--%s \"%s\" is not valid; allowed is %s", name.text, show(value).text,
		    allowed);
}

/* Where a help text begins, and where its lines end. */
enum { HELP_COLUMN = 30, HELP_WIDTH = 80 };

/* Prints text behind what fills a line up to this column, word by word, never beyond the width. */
static void print_wrapped(const char *text, int column)
{
	while (*text) {
		int length = (int)strcspn(text, " ");

		if (column + 1 + length > HELP_WIDTH)
			column = printf("\n%*s", HELP_COLUMN - 1, "") - 1;
		column += printf(" %.*s", length, text);
		text += length;
		text += strspn(text, " ");
	}
	putchar('\n');
}

/* An option and its text, which begins in the same column for all of them. */
static void print_option(const char *name, const char *before, const char *metavariable,
    const char *after, const char *text)
{
	int column = printf("  --%s%s%s%s", dashed(name).text, before, metavariable, after);

	if (column >= HELP_COLUMN)
		column = printf("\n") - 1;
	column += printf("%*s", HELP_COLUMN - 1 - column, "");
	print_wrapped(text, column);
}

static void print_setting(const struct option *option)
{
	bool flag = option->kind == SETTING_FLAG;
	char text[512];

	snprintf(text, sizeof text, "%s (default: %s)", option->help,
	    *option->initial ? option->initial : "none");
	print_option(option->name, flag ? "[=" : " ", option->metavariable, flag ? "]" : "", text);
}

static void print_report_option(const struct report_option *option)
{
	bool may = option->value == MAY_HAVE_VALUE;

	print_option(option->name,
	    may                            ? "[="
	    : option->value == NEEDS_VALUE ? " "
					   : "",
	    option->metavariable, may ? "]" : "", option->help);
}

static void print_help(void)
{
	puts("Usage: pqleash [OPTIONS] [--] PROGRAM [ARGUMENTS]\n"
	     "       pqleash report [OPTIONS] FOLDER\n"
	     "Run PROGRAM, unmodified, so that all its PostgreSQL connections together keep\n"
	     "only a few open at the server, and report which suite leaked what; or report\n"
	     "again from the traces in FOLDER.\n"
	     "\n"
	     "Options of a run; each sets a variable, --pool-timeout for example\n"
	     "PQLEASH_POOL_TIMEOUT, and where it is not given that variable counts, if it\n"
	     "is set:");
	for (size_t i = 0; i < option_count; i++)
		print_setting(&options[i]);
	puts("\n"
	     "Options of the report, which is on stderr unless it is all that was asked for:");
	for (size_t i = 0; i < report_option_count; i++)
		print_report_option(&report_options[i]);
	puts("\n"
	     "  --help                      print this and exit\n"
	     "  --version                   print the version and exit\n"
	     "\n"
	     "With --fail-on, --baseline or --error-exitcode (86 unless it is given) findings\n"
	     "fail a run that has not failed by itself.\n"
	     "\n"
	     "Not in this version: --job-limit is accepted and has no effect.\n"
	     "\n"
	     "The exit status is PROGRAM's, 128 and the signal's number if it was killed, 125\n"
	     "if pqleash itself fails, 126 if PROGRAM cannot be run, 127 if it is not found.\n"
	     "\n"
	     "Examples:\n"
	     "  LD_PRELOAD=libpqleash.so PQLEASH=1 ./run_tests\n"
	     "  pqleash ./run_tests\n"
	     "  pqleash --baseline known-leaks --junit=leaks.xml -- ctest -j4\n"
	     "  pqleash --trace traces -- make check; pqleash report --html leaks.html traces");
}

static _Noreturn void end_output(void)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		refuse("cannot write to stdout: %s", strerror(errno));
	exit(0);
}

static const char **wish_place(struct wanted *wanted, enum wish wish)
{
	switch (wish) {
	case WISH_JSON:
		return &wanted->json;
	case WISH_JUNIT:
		return &wanted->junit;
	case WISH_SARIF:
		return &wanted->sarif;
	case WISH_HTML:
		return &wanted->html;
	case WISH_FAIL_ON:
		return &wanted->fail_on;
	case WISH_BASELINE:
		return &wanted->baseline;
	default:
		return NULL;
	}
}

/* Returns how many arguments it took: 2 when the value is one of its own. */
static int take_wish(
    struct wanted *wanted, enum wish wish, const char *value, const char *next_argument)
{
	const struct report_option *option = &report_options[wish];
	bool takes_next = option->value == NEEDS_VALUE && !value;

	if (option->value == NO_VALUE && value)
		refuse("--%s takes no value" SEE_HELP, dashed(option->name).text);
	if (takes_next)
		value = next_argument;
	if (option->value != NO_VALUE && (value ? !*value : option->value == NEEDS_VALUE))
		refuse("--%s needs a value: %s" SEE_HELP, dashed(option->name).text,
		    option->metavariable);
	if (wish == WISH_GITHUB)
		wanted->github = true;
	else if (wish == WISH_WRITE_BASELINE)
		wanted->write_baseline = true;
	else
		*wish_place(wanted, wish) = value ? value : "-";
	return takes_next ? 2 : 1;
}

static int take_setting(const struct option *option, const char *value, const char *next_argument)
{
	if (!value && option->kind == SETTING_FLAG)
		value = "1"; /* never the next argument: that may be the program */
	set_option(option, value ? value : next_argument);
	return value ? 1 : 2;
}

static void take_general(const char *argument)
{
	if (strcmp(argument, "--help") == 0) {
		print_help();
		end_output();
	}
	if (strcmp(argument, "--version") == 0) {
		puts("pqleash " PQLEASH_VERSION);
		end_output();
	}
}

/* Takes the option at arguments[0], and its value; returns how many arguments that was. */
static int take_option(struct wanted *wanted, bool runs, char **arguments)
{
	bool is_long = arguments[0][1] == '-';
	const char *typed = arguments[0] + 2;
	size_t length = is_long ? strcspn(typed, "=") : 0;
	const char *value = is_long && typed[length] ? typed + length + 1 : NULL;

	take_general(arguments[0]);
	for (size_t i = 0; is_long && i < report_option_count; i++)
		if (is_name(report_options[i].name, typed, length))
			return take_wish(wanted, (enum wish)i, value, arguments[1]);
	const struct option *option = is_long ? find_option(typed, length) : NULL;
	if (!option) /* its value stays untold: it may be a password */
		refuse("unknown option \"%s\"" SEE_HELP,
		    show_part(arguments[0], strcspn(arguments[0], "=")).text);
	if (!runs && strcmp(option->name, "error_exitcode") != 0)
		refuse("--%s is for a run, not for a report" SEE_HELP, dashed(option->name).text);
	return take_setting(option, value, arguments[1]);
}

/* Takes all options; returns where the program, or the folder, is. */
static char **take_options(struct wanted *wanted, bool runs, char **arguments)
{
	while (*arguments && (*arguments)[0] == '-' && (*arguments)[1]) {
		if (strcmp(*arguments, "--") == 0) {
			arguments++;
			break;
		}
		arguments += take_option(wanted, runs, arguments);
	}
	if (!*arguments)
		refuse(runs ? "no program given" SEE_HELP : "no folder given" SEE_HELP);
	return arguments;
}

/* The gate is ours: a process of the run shall not fail by itself. */
static void take_error_exitcode(struct wanted *wanted)
{
	const char *value = getenv("PQLEASH_ERROR_EXITCODE");

	if (value && *value)
		set_option(find_option("error_exitcode", strlen("error_exitcode")), value);
	wanted->error_exitcode = value ? atoi(value) : 0;
	unsetenv("PQLEASH_ERROR_EXITCODE");
}

static void preload(void)
{
	char object[PATH_MAX];

	if (!object_find(object))
		refuse("no " OBJECT_NAME " beside this command, nor in ../lib: install both");
	if (!ld_preload_carries(object))
		refuse("LD_PRELOAD cannot carry \"%s\": its path may have no blanks or colons",
		    show(object).text);
	if (!ld_preload_add(object))
		refuse("no memory for LD_PRELOAD");
}

static int run(char **arguments)
{
	struct wanted wanted = {0};
	struct trace_folder folder;
	char **program = take_options(&wanted, true, arguments);

	take_error_exitcode(&wanted);
	report_prepare(&wanted);
	set_variable("PQLEASH", "1");
	preload();
	trace_folder_make(&folder);
	bool ran;
	int status = launch(program, &ran);
	if (ran)
		status = report_make(&wanted, &folder, program[0], status);
	trace_folder_remove(&folder);
	return status;
}

static int report(char **arguments)
{
	struct wanted wanted = {0};
	struct trace_folder folder = {0};
	char **folders = take_options(&wanted, false, arguments);

	if (folders[1])
		refuse("one folder is enough: \"%s\"" SEE_HELP, show(folders[1]).text);
	if (snprintf(folder.path, sizeof folder.path, "%s", folders[0]) >= PATH_MAX)
		refuse("no traces: %s", strerror(ENAMETOOLONG));
	take_error_exitcode(&wanted);
	report_prepare(&wanted);
	return report_make(&wanted, &folder, NULL, 0);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "report") == 0)
		return report(argv + 2);
	return run(argv + (argc > 0));
}
