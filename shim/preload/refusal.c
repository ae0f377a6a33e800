/*
 * Refusals: a server or pooler that has no connection left for us. Owns the words by which one is
 * known, the pauses between attempts, and the line that tells the user what to set. Called when a
 * backend could not be opened; what is shared instead is decided by session_open.c and pool.c.
 */
#include "refusal.h"
#include "process.h"
#include "say.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#define FIRST_PAUSE_MS 50
#define LONGEST_PAUSE_MS 800

/*
 * The SQLSTATE of a refused connect is not to be had from libpq, so these are the words: of
 * PostgreSQL's errors 53300, which a server may translate; of PgBouncer and of Supavisor.
 */
static const struct {
	const char *words, *who, *remedy;
} refusals[] = {
    {"too many clients already", "the server", "its max_connections"},
    {"remaining connection slots are reserved", "the server", "its max_connections"},
    {"too many connections for role", "the server", "the role's CONNECTION LIMIT"},
    {"too many connections for database", "the server", "the database's CONNECTION LIMIT"},
    {"exceeds max_wal_senders", "the server", "its max_wal_senders"},
    {"no more connections allowed", "PgBouncer", "its max_client_conn"},
    {"query_wait_timeout", "PgBouncer", "its default_pool_size"},
    {"MaxClientsInSessionMode", "Supavisor", "its pool size"},
    {"max clients reached", "Supavisor", "its pool size"},
    {"Max client connections reached", "Supavisor", "its limit of clients"},
};
#define REFUSALS (sizeof refusals / sizeof *refusals)

static size_t find(const char *message)
{
	size_t i = 0;

	while (i < REFUSALS && !strstr(message, refusals[i].words))
		i++;
	return i;
}

bool refusal_is(const char *message)
{
	return message && find(message) < REFUSALS;
}

bool refusal_retry(struct retry *retry, long timeout_ms)
{
	int64_t now = process_clock_ms();

	if (retry->until_ms == 0)
		retry->until_ms = now + timeout_ms;
	if (now >= retry->until_ms)
		return false;
	retry->pause_ms = retry->pause_ms == 0                     ? FIRST_PAUSE_MS
			  : retry->pause_ms * 2 < LONGEST_PAUSE_MS ? retry->pause_ms * 2
								   : LONGEST_PAUSE_MS;
	retry->next_ms = now + retry->pause_ms;
	if (retry->next_ms > retry->until_ms)
		retry->next_ms = retry->until_ms;
	return true;
}

void refusal_pause(struct retry *retry)
{
	struct timespec next = {
	    .tv_sec = retry->next_ms / 1000, .tv_nsec = retry->next_ms % 1000 * 1000000};

	while (
	    retry->next_ms && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL) == EINTR)
		;
	retry->next_ms = 0;
}

void refusal_tell(const char *label, const char *message, long waited_ms)
{
	size_t which = find(message);
	const char *who = which < REFUSALS ? refusals[which].who : "the pooler";
	const char *remedy = which < REFUSALS ? refusals[which].remedy : "its pool size";
	const char *reason = strstr(message, "FATAL");

	if (!reason)
		reason = message;
	say("%s: %s has no connection left (%.*s), waited %ld.%ld s for one: end those that others "
	    "hold, raise %s, or wait longer with PQLEASH_POOL_TIMEOUT",
	    label, who, (int)strcspn(reason, "\n"), reason, waited_ms / 1000,
	    waited_ms % 1000 / 100, remedy);
}
