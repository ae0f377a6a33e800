/* What the server has reported of a session's settings, while there is no backend to ask. See status.c. */
#ifndef STATUS_H
#define STATUS_H

#include "libpq.h"

#include <stdbool.h>

struct statuses;

/* What libpq knows of the connection now, into *kept, which is allocated at first and freed with free(). */
void statuses_keep(struct statuses **kept, const PGconn *conn);

/*
 * The value of a setting as PQparameterStatus gives it: valid for the process's life, NULL where the
 * server has not reported it. False when it is not among those that are kept.
 */
bool statuses_find(const struct statuses *kept, const char *name, const char **value);

/* The same text at an address that stays: the program may keep the pointer. */
const char *status_intern(const char *value);

#endif
