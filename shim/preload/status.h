/* What the server has reported of a session's settings, while there is no backend to ask. See status.c. */
#ifndef STATUS_H
#define STATUS_H

#include "libpq.h"

#include <stdbool.h>

struct statuses;

/* What libpq knows of the connection now, into *kept, which is allocated at first. Any thread. */
void statuses_keep(struct statuses **kept, const PGconn *conn);
void statuses_free(struct statuses *kept);

/* Whether a setting is known to have this value. */
bool statuses_have(const struct statuses *kept, const char *name, const char *value);

/*
 * The value of a setting for the program, NULL where the server has not reported it; false when it is
 * not among those that are kept. Or the value that a connection has. It stays where it is when the
 * session moves, until the session gives out another value of this setting or ends; *given remembers
 * what was given out, and is statuses_free's. Any thread.
 */
bool statuses_give(
    struct statuses **given, const struct statuses *kept, const char *name, const char **value);
const char *statuses_give_from(struct statuses **given, const PGconn *conn, const char *name);

#endif
