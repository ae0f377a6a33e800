/*
 * The PQLEASH_* variables, read once. Owns how they are read; what they may be is in
 * pqleash_settings_check.h, their names and defaults in pqleash_settings.h. Nothing is read, and
 * nothing said, before a program's first libpq call: most programs of a CI job never make one.
 */
#include "settings.h"
#include "pqleash_settings.h"
#include "pqleash_settings_check.h"
#include "say.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct settings parsed;

/*
 * The variable's value if it is set and valid; else the default. An empty variable counts as unset.
 */
static const char *read_variable(const char *variable, enum setting_kind kind, long minimum,
    long maximum, const char *by_default)
{
	char allowed[SETTING_ALLOWED_ROOM];
	const char *value = secure_getenv(variable);

	if (!value || !*value)
		return by_default;
	if (setting_valid(kind, minimum, maximum, value))
		return value;
	/* A URL may hold a password: it is never shown. */
	say("%s%s%.100s is not valid; allowed is %s; %s is %s", variable,
	    kind == SETTING_URL ? "" : "=", kind == SETTING_URL ? "" : value,
	    setting_allowed(kind, minimum, maximum, allowed), *by_default ? by_default : "it",
	    *by_default ? "used" : "ignored");
	return by_default;
}

static bool is_in_list(const char *names, const char *name)
{
	size_t length = strlen(name);

	for (const char *next = names; *next;
	     next += strcspn(next, ",") + (strchr(next, ',') != NULL))
		if (strcspn(next, ",") == length && strncmp(next, name, length) == 0)
			return true;
	return false;
}

static long milliseconds(const char *seconds)
{
	long value = 0;

	setting_seconds(seconds, 0, LONG_MAX / 2000, &value);
	return value;
}

static const char *or_null(const char *text)
{
	return *text ? text : NULL;
}

static void say_without_effect(const char *variable, const char *value)
{
	if (*value)
		say("%s has no effect in this version", variable);
}

static void read_all(void)
{
#define SETTING(id, name, kind, by_default, minimum, maximum, metavariable, help) \
	const char *id = \
	    read_variable("PQLEASH_" #name, SETTING_##kind, minimum, maximum, by_default);
	PQLEASH_SETTINGS(SETTING)
#undef SETTING

	parsed.on = !is_in_list(skip, program_invocation_short_name);
	parsed.limit = strtol(limit, NULL, 10);
	parsed.pool_timeout_ms = milliseconds(pool_timeout);
	parsed.connect_timeout_ms = milliseconds(connect_timeout);
	parsed.statement_timeout_ms = milliseconds(statement_timeout);
	parsed.reclaim = (enum reclaim)setting_choice(reclaim);
	parsed.database_url = or_null(database_url);
	parsed.suite = or_null(suite);
	parsed.trace = or_null(trace);
	parsed.error_exitcode = (int)strtol(error_exitcode, NULL, 10);
	parsed.pgbouncer = *pgbouncer == '1';
	parsed.debug = *debug == '1';
	parsed.park_always = secure_getenv("PQLEASH_TEST_PARK") != NULL;
	say_without_effect("PQLEASH_JOB_LIMIT", job_limit);
}

static void read_environment(void)
{
	/* NULL in a set-user-id program: the environment is that of somebody it must not obey. */
	const char *on = secure_getenv("PQLEASH");

	say_to_this_stderr();
	if (!on || !*on || strcmp(on, "0") == 0)
		return;
	if (strcmp(on, "1") == 0)
		read_all();
	else
		say("PQLEASH=%.100s is not valid; allowed is 0 or 1; it stays off", on);
}

const struct settings *settings(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, read_environment);
	return &parsed;
}
