/*
 * The settings of pqleash, once: the preloaded object reads them from the environment, the command
 * turns each into a long option and prints this text as its help. Nothing else repeats a default or
 * a limit.
 *
 * SETTING(id, VARIABLE, kind, default, minimum, maximum, metavariable, help)
 *   id        field of struct settings; its long option is the id with dashes
 *   VARIABLE  environment variable without the PQLEASH_ prefix
 *   kind      NUMBER (within minimum..maximum), SECONDS (whole or fractional, within
 *             minimum..maximum), FLAG (0 or 1), CHOICE (lru, ended, never), NAMES (comma
 *             separated), TEXT (anything), URL (never shown)
 *   default   as the user would write it; "" where there is none
 */
#ifndef PQLEASH_SETTINGS_H
#define PQLEASH_SETTINGS_H

#define PQLEASH_VERSION "0.1.0"

/* clang-format off */
#define PQLEASH_SETTINGS(SETTING) \
	SETTING(limit, LIMIT, NUMBER, "3", 1, 10000, "N", "backends per process, all targets together") \
	SETTING(job_limit, JOB_LIMIT, NUMBER, "", 1, 10000, "N", "reserved: backends over all processes of a job") \
	SETTING(pool_timeout, POOL_TIMEOUT, SECONDS, "5", 0, 86400, "SECONDS", "how long to wait for a backend before failing") \
	SETTING(connect_timeout, CONNECT_TIMEOUT, SECONDS, "5", 1, 86400, "SECONDS", "how long a new backend may take, unless the program asks for less") \
	SETTING(reclaim, RECLAIM, CHOICE, "lru", 0, 0, "lru|ended|never", "which sessions may lose their backend when nothing else is left") \
	SETTING(statement_timeout, STATEMENT_TIMEOUT, SECONDS, "", 0, 86400, "SECONDS", "server-side guard against a hung statement") \
	SETTING(database_url, DATABASE_URL, URL, "", 0, 0, "URL", "send every connection here, whatever the program asked for") \
	SETTING(pgbouncer, PGBOUNCER, FLAG, "0", 0, 1, "0|1", "1 behind a pooler in transaction mode") \
	SETTING(trace, TRACE, TEXT, "", 0, 0, "FOLDER", "where each process leaves a trace") \
	SETTING(error_exitcode, ERROR_EXITCODE, NUMBER, "", 1, 255, "N", "exit status when findings fail the run and the program did not") \
	SETTING(suite, SUITE, TEXT, "", 0, 0, "NAME", "suite name, where nothing better is known") \
	SETTING(skip, SKIP, NAMES, "postgres,pgbouncer", 0, 0, "NAME,...", "programs left alone") \
	SETTING(debug, DEBUG, FLAG, "0", 0, 1, "0|1", "1 to say on stderr what is decided and why")
/* clang-format on */

#endif
