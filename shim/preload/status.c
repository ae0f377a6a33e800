/*
 * Parameter statuses: the settings that a server reports unasked (libpq manual, PQparameterStatus).
 * Sessions without a backend answer from a copy, because libpq's answer never waits for anything.
 * Values are interned for the process's life: there are few of them.
 */
#include "status.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "hash.h"

static const char *const names[] = {"application_name", "client_encoding", "DateStyle",
    "default_transaction_read_only", "in_hot_standby", "integer_datetimes", "IntervalStyle",
    "is_superuser", "scram_iterations", "search_path", "server_encoding", "server_version",
    "session_authorization", "standard_conforming_strings", "TimeZone"};
#define NAMES (sizeof names / sizeof *names)

/* There was no memory to keep it. */
static const char unknown[] = "";

struct statuses {
	const char *values[NAMES];
};

struct interned {
	UT_hash_handle hh;
	char value[];
};

/* NULL where there is no memory for it. */
static const char *intern(const char *value)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct interned *values;
	struct interned *found;
	size_t length = strlen(value);

	pthread_mutex_lock(&lock);
	HASH_FIND(hh, values, value, length, found);
	if (!found && (found = malloc(sizeof *found + length + 1))) {
		memcpy(found->value, value, length + 1);
		HASH_ADD(hh, values, value, length, found);
		if (!hash_added(found)) {
			free(found);
			found = NULL;
		}
	}
	pthread_mutex_unlock(&lock);
	return found ? found->value : NULL;
}

const char *status_intern(const char *value)
{
	const char *kept = intern(value);

	return kept ? kept : value;
}

static const char *keep(const char *value)
{
	const char *kept = value ? intern(value) : NULL;

	return value && !kept ? unknown : kept;
}

void statuses_keep(struct statuses **kept, const PGconn *conn)
{
	struct statuses *statuses = *kept ? *kept : calloc(1, sizeof *statuses);

	for (size_t i = 0; statuses && i < NAMES; i++) {
		const char *value = REAL(PQparameterStatus)(conn, names[i]);

		__atomic_store_n(&statuses->values[i], keep(value), __ATOMIC_RELEASE);
	}
	__atomic_store_n(kept, statuses, __ATOMIC_RELEASE);
}

bool statuses_find(const struct statuses *kept, const char *name, const char **value)
{
	for (size_t i = 0; kept && name && i < NAMES; i++)
		if (strcmp(names[i], name) == 0) {
			*value = __atomic_load_n(&kept->values[i], __ATOMIC_ACQUIRE);
			return *value != unknown;
		}
	return false;
}
