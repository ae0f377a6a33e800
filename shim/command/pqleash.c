/*
 * The launcher: pqleash [options] [--] program [arguments]. Turns options into PQLEASH_* variables,
 * puts libpqleash.so into LD_PRELOAD and becomes the program. What it refuses itself ends in status
 * 125, so that nobody takes it for a failed test. Never talks to a server, never repeats a URL: it
 * holds a password.
 */
#include "ld_preload.h"
#include "pqleash_settings.h"
#include "pqleash_settings_check.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As env(1), nice(1) and the shells have them. */
enum { STATUS_REFUSED = 125, STATUS_CANNOT_RUN = 126, STATUS_NOT_FOUND = 127 };

#define SEE_HELP "; see pqleash --help"

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

/* One line on stderr. */
static void __attribute__((format(printf, 1, 2))) complain(const char *format, ...)
{
	char line[2 * PATH_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	fprintf(stderr, "pqleash: %s\n", line);
}

/* Complain and give up. */
#define refuse(...) (complain(__VA_ARGS__), exit(STATUS_REFUSED))

/*
 * Something the user typed, fit to be shown: on one line, and cut off where a URL gets interesting,
 * because a password may stand there (pqleash --limit postgres://...).
 */
struct shown {
	char text[1024];
};

static struct shown show_part(const char *typed, size_t length)
{
	struct shown shown;
	const char *url = memmem(typed, length, "://", 3);
	size_t shown_length = url ? (size_t)(url - typed) + 3 : length;

	if (shown_length > sizeof shown.text - sizeof "...")
		shown_length = sizeof shown.text - sizeof "...";
	for (size_t i = 0; i < shown_length; i++)
		shown.text[i] = iscntrl((unsigned char)typed[i]) ? '?' : typed[i];
	snprintf(shown.text + shown_length, sizeof "...", "%s", shown_length < length ? "..." : "");
	return shown;
}

static struct shown show(const char *typed)
{
	return show_part(typed, strlen(typed));
}

static void set_variable(const char *variable, const char *value)
{
	if (setenv(variable, value, 1) != 0)
		refuse("no memory for %s", variable);
}

/* The option's name as the user types it. */
static struct shown dashed(const struct option *option)
{
	struct shown name = show(option->name);

	for (char *c = name.text; *c; c++)
		if (*c == '_')
			*c = '-';
	return name;
}

/* Whether the first length bytes of typed are the option's name, with dashes or underscores. */
static bool is_name_of(const struct option *option, const char *typed, size_t length)
{
	if (strlen(option->name) != length)
		return false;
	for (size_t i = 0; i < length; i++)
		if ((typed[i] == '-' ? '_' : typed[i]) != option->name[i])
			return false;
	return true;
}

static const struct option *find_option(const char *typed, size_t length)
{
	for (size_t i = 0; i < option_count; i++)
		if (is_name_of(&options[i], typed, length))
			return &options[i];
	return NULL;
}

static void set_option(const struct option *option, const char *value)
{
	struct shown name = dashed(option);
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

static void print_option(const struct option *option)
{
	bool flag = option->kind == SETTING_FLAG;
	char text[512];

	int column = printf("  --%s%s%s%s", dashed(option).text, flag ? "[=" : " ",
	    option->metavariable, flag ? "]" : "");
	if (column >= HELP_COLUMN)
		column = printf("\n") - 1;
	column += printf("%*s", HELP_COLUMN - 1 - column, "");
	snprintf(text, sizeof text, "%s (default: %s)", option->help,
	    *option->initial ? option->initial : "none");
	print_wrapped(text, column);
}

static void print_help(void)
{
	puts("Usage: pqleash [OPTIONS] [--] PROGRAM [ARGUMENTS]\n"
	     "Run PROGRAM, unmodified, so that all its PostgreSQL connections together keep\n"
	     "only a few open at the server.\n"
	     "\n"
	     "Options; each sets a variable, --pool-timeout for example PQLEASH_POOL_TIMEOUT,\n"
	     "and where it is not given that variable counts, if it is set:");
	for (size_t i = 0; i < option_count; i++)
		print_option(&options[i]);
	puts("  --help                      print this and exit\n"
	     "  --version                   print the version and exit\n"
	     "\n"
	     "Not in this version: --job-limit, --statement-timeout, --trace and\n"
	     "--error-exitcode are accepted and have no effect.\n"
	     "\n"
	     "The exit status is PROGRAM's, or 125 if pqleash itself fails, 126 if PROGRAM\n"
	     "cannot be run, 127 if it is not found.\n"
	     "\n"
	     "Examples:\n"
	     "  LD_PRELOAD=libpqleash.so PQLEASH=1 ./run_tests\n"
	     "  pqleash ./run_tests\n"
	     "  pqleash --limit 5 --pool-timeout 7.5 --debug -- ./run_tests --verbose");
}

static _Noreturn void end_output(void)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		refuse("cannot write to stdout: %s", strerror(errno));
	exit(0);
}

/* Takes the option at arguments[0], and its value; returns how many arguments that was. */
static int take_option(char **arguments)
{
	const char *typed = arguments[0] + 2;
	size_t length = strcspn(typed, "=");
	const char *value = typed[length] ? typed + length + 1 : NULL;
	const struct option *option = NULL;

	if (strcmp(arguments[0], "--help") == 0) {
		print_help();
		end_output();
	}
	if (strcmp(arguments[0], "--version") == 0) {
		puts("pqleash " PQLEASH_VERSION);
		end_output();
	}
	if (arguments[0][1] == '-')
		option = find_option(typed, length);
	if (!option) /* its value stays untold: it may be a password */
		refuse("unknown option \"%s\"" SEE_HELP,
		    show_part(arguments[0], strcspn(arguments[0], "=")).text);
	if (!value && option->kind == SETTING_FLAG)
		value = "1"; /* never the next argument: that may be the program */
	if (value) {
		set_option(option, value);
		return 1;
	}
	set_option(option, arguments[1]);
	return 2;
}

/* Takes all options; returns where the program begins. */
static char **take_options(char **arguments)
{
	while (*arguments && (*arguments)[0] == '-' && (*arguments)[1]) {
		if (strcmp(*arguments, "--") == 0) {
			arguments++;
			break;
		}
		arguments += take_option(arguments);
	}
	if (!*arguments)
		refuse("no program given" SEE_HELP);
	return arguments;
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

/* Returns only if the program cannot be run: the status to exit with. */
static int become(char **program)
{
	execvp(program[0], program);
	int reason = errno;
	/* A script is there, but the interpreter it names is not. */
	if (reason == ENOENT && strchr(program[0], '/') && access(program[0], F_OK) == 0) {
		complain("cannot run \"%s\": its interpreter is missing", show(program[0]).text);
		return STATUS_CANNOT_RUN;
	}
	complain("cannot run \"%s\": %s", show(program[0]).text, strerror(reason));
	return reason == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
}

int main(int argc, char **argv)
{
	char **program = take_options(argv + (argc > 0));

	set_variable("PQLEASH", "1");
	preload();
	return become(program);
}
