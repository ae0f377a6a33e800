/* What the PQLEASH_* variables say, read once at the first libpq call. See settings.c. */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stdbool.h>

enum reclaim { RECLAIM_LRU, RECLAIM_ENDED, RECLAIM_NEVER };

struct settings {
	bool on; /* PQLEASH=1 and this program is not in PQLEASH_SKIP */
	long limit;
	long pool_timeout_ms;
	long connect_timeout_ms;
	long statement_timeout_ms; /* 0 where not given */
	enum reclaim reclaim;
	const char *database_url; /* NULL where not given */
	const char *suite;        /* NULL where not given */
	const char *trace;        /* NULL where not given */
	int error_exitcode;       /* 0 where not given */
	bool pgbouncer;
	bool debug;
	bool park_always; /* PQLEASH_TEST_PARK=1, for our own tests: park at every opportunity */
};

/* The settings; any thread. */
const struct settings *settings(void);

#endif
