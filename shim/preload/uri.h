/* Connection URIs: what pqleash takes out of them before libpq sees them. See uri.c. */
#ifndef URI_H
#define URI_H

#include <stdbool.h>

struct uri_extras {
	long connection_limit; /* 0 where not given */
	bool has_pool_timeout;
	long pool_timeout_ms;
	bool pgbouncer;
};

/* Whether libpq would take this text for a URI (libpq manual, "Connection URIs"). */
bool uri_is(const char *text);

/*
 * A copy of conninfo without connection_limit, pool_timeout and pgbouncer, whose values go to
 * extras. What is not a URI is copied as it is. A value that makes no sense is said on stderr, once
 * each, and ignored. NULL when there is no memory. Any thread.
 */
char *uri_strip(const char *conninfo, struct uri_extras *extras);

#endif
