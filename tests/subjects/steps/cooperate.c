/*
 * What a program may tell pqleash and ask it: pqleash.h. Without the object every answer is "none".
 */
#include "steps.h"

#include <pqleash.h>
#include <stdio.h>

static void do_suite_begin(char **words)
{
	if (pqleash_suite_begin)
		pqleash_suite_begin(words[0]);
}

static void do_suite_end(char **words)
{
	(void)words;
	if (pqleash_suite_end)
		pqleash_suite_end();
}

static void do_counts(char **words)
{
	(void)words;
	if (!pqleash_sessions_opened)
		printf("none");
	else
		printf("opened %lu, open %lu, backends %lu, peak %lu", pqleash_sessions_opened(),
		    pqleash_sessions_open(), pqleash_backends_open(), pqleash_backends_peak());
}

static void do_close_idle(char **words)
{
	(void)words;
	if (!pqleash_close_idle)
		printf("none");
	else
		printf("closed %lu", pqleash_close_idle());
}

const struct command cooperation_commands[] = {
    {"suite_begin", NULL, do_suite_begin, 1, 0}, /* SUITE */
    {"suite_end", NULL, do_suite_end, 0, 0},
    {"counts", NULL, do_counts, 0, 0},
    {"close_idle", NULL, do_close_idle, 0, 0},
    {0},
};
