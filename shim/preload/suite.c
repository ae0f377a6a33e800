/*
 * Suites, and the functions of pqleash.h. A suite's name is kept for the process's life, so that
 * sessions can point to it.
 */
#define PQLEASH_API __attribute__((visibility("default")))
#include "pqleash.h"

#include "framework.h"
#include "lock.h"
#include "pool.h"
#include "session.h"
#include "settings.h"
#include "suite.h"
#include "trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct suite {
	struct suite *next;
	char name[];
};

static struct suite *suites;
static const char *announced; /* NULL while none is running */

static const char *intern(const char *name, size_t length)
{
	struct suite *suite;

	lock_take(LOCK_SUITES);
	for (suite = suites; suite; suite = suite->next)
		if (strncmp(suite->name, name, length) == 0 && !suite->name[length])
			break;
	if (!suite && (suite = malloc(sizeof *suite + length + 1))) {
		memcpy(suite->name, name, length);
		suite->name[length] = '\0';
		suite->next = suites;
		suites = suite;
	}
	lock_release(LOCK_SUITES);
	return suite ? suite->name : "unnamed";
}

/* What a framework runs it runs one after the other: the one before has ended. */
static void notice_change(const char *suite)
{
	static const char *before;
	const char *ended = __atomic_exchange_n(&before, suite, __ATOMIC_ACQ_REL);

	if (ended && ended != suite)
		session_suite_ended(ended);
}

/* The test's name, kept until the thread asks again. */
static const char *copy_test(const char *name, size_t length)
{
	static __thread char copy[256] __attribute__((tls_model("initial-exec")));

	if (length > sizeof copy - 1)
		length = sizeof copy - 1;
	memcpy(copy, name, length);
	copy[length] = '\0';
	return copy;
}

struct whose suite_whose(void)
{
	struct framework_test running = framework_now();
	const char *name = __atomic_load_n(&announced, __ATOMIC_ACQUIRE);
	struct whose whose = {0};

	if (running.test)
		whose.test = copy_test(running.test, running.test_length);
	whose.source = running.source;
	if (name) {
		whose.suite = name;
		whose.source = "api";
	} else if (running.suite) {
		whose.suite = intern(running.suite, running.suite_length);
		notice_change(whose.suite);
	} else if (settings()->suite) {
		whose.suite = settings()->suite;
		whose.source = "env";
	}
	return whose;
}

const char *suite_now(void)
{
	const char *suite = suite_whose().suite;

	return suite ? suite : program_invocation_short_name;
}

void pqleash_suite_end(void)
{
	const char *ended = __atomic_exchange_n(&announced, NULL, __ATOMIC_ACQ_REL);

	if (!ended)
		return;
	session_suite_ended(ended);
	trace_suite(ended, false);
}

void pqleash_suite_begin(const char *name)
{
	const char *begun = name && name[0] ? name : "unnamed";

	pqleash_suite_end();
	begun = intern(begun, strlen(begun));
	__atomic_store_n(&announced, begun, __ATOMIC_RELEASE);
	trace_suite(begun, true);
}

unsigned long pqleash_sessions_opened(void)
{
	return session_count().opened;
}

unsigned long pqleash_sessions_open(void)
{
	return session_count().open;
}

unsigned long pqleash_backends_open(void)
{
	return pool_count();
}

unsigned long pqleash_backends_peak(void)
{
	return pool_peak();
}

unsigned long pqleash_close_idle(void)
{
	return pool_close_idle();
}
