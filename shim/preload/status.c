/*
 * Parameter statuses: the settings that a server reports unasked (libpq manual, PQparameterStatus).
 * Sessions without a backend answer from a copy, because libpq's answer never waits for anything.
 * Owns the values: most sessions have the same ones, each of which is kept once, while anybody has it.
 */
#include "status.h"
#include "lock.h"

#include <stddef.h>
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
	long references;
	char value[];
};

static struct interned *interned_values;

/* Under the lock: the same text, which stays until it is released; NULL where there is no memory. */
static const char *hold(const char *value)
{
	struct interned *found;
	size_t length = strlen(value);

	HASH_FIND(hh, interned_values, value, length, found);
	if (!found && (found = malloc(sizeof *found + length + 1))) {
		found->references = 0;
		memcpy(found->value, value, length + 1);
		HASH_ADD(hh, interned_values, value, length, found);
		if (!hash_added(found)) {
			free(found);
			found = NULL;
		}
	}
	if (!found)
		return NULL;
	found->references++;
	return found->value;
}

/* Under the lock. */
static void release(const char *value)
{
	struct interned *interned;

	if (!value || value == unknown)
		return;
	interned = (struct interned *)(value - offsetof(struct interned, value));
	if (--interned->references > 0)
		return;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it is in there */
	HASH_DEL(interned_values, interned);
	free(interned);
}

/* Under the lock. */
static const char *keep(const char *value)
{
	const char *kept = value ? hold(value) : NULL;

	return value && !kept ? unknown : kept;
}

void statuses_keep(struct statuses **kept, const PGconn *conn)
{
	lock_take(LOCK_STATUSES);
	struct statuses *statuses = *kept ? *kept : calloc(1, sizeof *statuses);
	for (size_t i = 0; statuses && i < NAMES; i++) {
		const char *value = REAL(PQparameterStatus)(conn, names[i]);
		const char *before = statuses->values[i];

		statuses->values[i] = keep(value);
		release(before);
	}
	__atomic_store_n(kept, statuses, __ATOMIC_RELEASE);
	lock_release(LOCK_STATUSES);
}

void statuses_free(struct statuses *kept)
{
	if (!kept)
		return;
	lock_take(LOCK_STATUSES);
	for (size_t i = 0; i < NAMES; i++)
		release(kept->values[i]);
	lock_release(LOCK_STATUSES);
	free(kept);
}

/* Under the lock. */
static bool find(const struct statuses *kept, const char *name, const char **value)
{
	for (size_t i = 0; kept && name && i < NAMES; i++)
		if (strcmp(names[i], name) == 0) {
			*value = kept->values[i];
			return *value != unknown;
		}
	return false;
}

bool statuses_have(const struct statuses *kept, const char *name, const char *value)
{
	const char *found = NULL;

	lock_take(LOCK_STATUSES);
	bool alike = find(kept, name, &found) && found && strcmp(found, value) == 0;
	lock_release(LOCK_STATUSES);
	return alike;
}

/*
 * Under the lock: a setting's value at an address that stays until the session gives out another one.
 * One that we do not know by its name stays for good: there are few.
 */
static const char *give(struct statuses **given, const char *name, const char *value)
{
	size_t i = 0;

	while (i < NAMES && strcmp(names[i], name) != 0)
		i++;
	if (i < NAMES && !*given)
		*given = calloc(1, sizeof **given);
	const char *held = hold(value);
	if (i < NAMES && *given) {
		release((*given)->values[i]);
		(*given)->values[i] = held;
	}
	/* Where there is no memory: at its own address, which stays as long as libpq's would. */
	return held ? held : value;
}

bool statuses_give(
    struct statuses **given, const struct statuses *kept, const char *name, const char **value)
{
	lock_take(LOCK_STATUSES);
	bool found = find(kept, name, value);
	if (found && *value)
		*value = give(given, name, *value);
	lock_release(LOCK_STATUSES);
	return found;
}

const char *statuses_give_from(struct statuses **given, const PGconn *conn, const char *name)
{
	const char *value = REAL(PQparameterStatus)(conn, name);

	if (!value)
		return NULL;
	lock_take(LOCK_STATUSES);
	value = give(given, name, value);
	lock_release(LOCK_STATUSES);
	return value;
}
