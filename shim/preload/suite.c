/*
 * Suites, and the functions of pqleash.h. A suite's name is kept for the process's life, so that
 * sessions can point to it.
 */
#define PQLEASH_API __attribute__((visibility("default")))
#include "pqleash.h"

#include "pool.h"
#include "session.h"
#include "settings.h"
#include "suite.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct suite {
	struct suite *next;
	char name[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct suite *suites;
static const char *announced; /* NULL while none is running */

static const char *intern(const char *name)
{
	struct suite *suite;

	pthread_mutex_lock(&lock);
	for (suite = suites; suite; suite = suite->next)
		if (strcmp(suite->name, name) == 0)
			break;
	if (!suite && (suite = malloc(sizeof *suite + strlen(name) + 1))) {
		memcpy(suite->name, name, strlen(name) + 1);
		suite->next = suites;
		suites = suite;
	}
	pthread_mutex_unlock(&lock);
	return suite ? suite->name : "unnamed";
}

const char *suite_now(void)
{
	const char *name = __atomic_load_n(&announced, __ATOMIC_ACQUIRE);

	if (name)
		return name;
	return settings()->suite ? settings()->suite : program_invocation_short_name;
}

void pqleash_suite_end(void)
{
	const char *ended = __atomic_exchange_n(&announced, NULL, __ATOMIC_ACQ_REL);

	if (ended)
		session_suite_ended(ended);
}

void pqleash_suite_begin(const char *name)
{
	pqleash_suite_end();
	__atomic_store_n(&announced, intern(name && name[0] ? name : "unnamed"), __ATOMIC_RELEASE);
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
