/* Whether a session is still in the state that it was captured in. See fingerprint.c. */
#ifndef FINGERPRINT_H
#define FINGERPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backend;

struct fingerprint {
	uint64_t halves[2];
	uint64_t generation; /* of what a new connection sees: see pool_login_changed */
	uint32_t customs;    /* how many custom settings were asked for */
	bool taken;
};

/*
 * Ask the quiescent session that holds this backend for its state, and keep a hash of the answer.
 * Changes nothing there. False, with nothing taken, where the state cannot be told this way.
 */
bool fingerprint_take(struct fingerprint *fingerprint, struct backend *backend);

/* Whether it can still be compared with one that is taken now. */
bool fingerprint_is_fresh(const struct fingerprint *fingerprint);

/* Whether two stand for the same state. */
bool fingerprint_matches(const struct fingerprint *one, const struct fingerprint *other);

#endif
