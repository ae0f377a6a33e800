/* Server-side state of a session: captured from one backend, restored on another. See park.c. */
#ifndef PARK_H
#define PARK_H

#include "backend.h"

#include <stdbool.h>
#include <stddef.h>

struct snapshot;

/*
 * Read the state of the session that holds this quiescent backend. Changes nothing there.
 *   snapshot  the state, to be freed by the caller; NULL when the session has changed nothing
 * Returns NULL when the session can be moved, else what it holds that cannot, for a message.
 */
const char *snapshot_capture(struct backend *backend, struct snapshot **snapshot);

/*
 * Put the state back on a settled backend of the same target. False when it cannot be put back: then
 * the backend must be closed.
 *   why  for a message, to be freed; NULL for want of memory
 */
bool snapshot_restore(const struct snapshot *snapshot, struct backend *backend, char **why);

/* Whether the session has all of these custom settings itself; snapshot may be NULL. */
bool snapshot_covers(const struct snapshot *snapshot, const char *const *customs, size_t count);

void snapshot_free(struct snapshot *snapshot);

#endif
