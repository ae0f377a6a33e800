/* Refusals: a server or pooler that has no connection left for us. See refusal.c. */
#ifndef REFUSAL_H
#define REFUSAL_H

#include <stdbool.h>
#include <stdint.h>

/* When a refused session asks again. All zero: it was not refused. */
struct retry {
	int64_t next_ms;  /* not before; 0 for at once */
	int64_t until_ms; /* the last time; 0 before the first refusal */
	long pause_ms;    /* how long the last pause was */
};

/* Whether this message of libpq's says that there is no connection left. */
bool refusal_is(const char *message);

/*
 * Refused once more: plan the next attempt, each pause twice as long as the one before. False when
 * so long has passed since the first refusal: the last attempt was made then.
 */
bool refusal_retry(struct retry *retry, long timeout_ms);

/* Sleep until the next attempt. */
void refusal_pause(struct retry *retry);

/* One line on stderr: who refused whom, after how long, and what to set. */
void refusal_tell(const char *label, const char *message, long waited_ms);

#endif
