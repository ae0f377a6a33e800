/* What is made of a run: reports, the baseline, and whether it fails. See report.c. */
#ifndef REPORT_H
#define REPORT_H

#include "launch.h"

#include <stdbool.h>

/* Each: a file name, "-" for stdout, NULL for not wanted. */
struct wanted {
	const char *json, *junit, *sarif, *html;
	bool github;
	const char *fail_on;  /* NULL: the usual ones */
	const char *baseline; /* NULL for none */
	bool write_baseline;
	int error_exitcode; /* 0: findings fail nothing */
};

/*
 * Before the program is run: what is wrong with the wishes ends in a line and status 125. A gate is
 * on when any of its options is given.
 */
void report_prepare(struct wanted *wanted);

/*
 * Read the traces, write the reports, and return the exit status: `status` is the program's own,
 * which stays when it is not 0. program: for a run that was not seen; NULL for `pqleash report`.
 */
int report_make(const struct wanted *wanted, const struct trace_folder *folder, const char *program,
    int status);

#endif
