/* Which findings fail a run, and which are known already. See gate.c. */
#ifndef GATE_H
#define GATE_H

#include "run.h"

#include <stdbool.h>
#include <stddef.h>

struct gate {
	bool fails[FINDING_KINDS];
};

/* Leaked, used after finish, finished twice, transaction left open, pool exhausted. */
void gate_default(struct gate *gate);

/*
 * Those of a list, as "leaked,used-after-finish"; "all" and "none" are lists, too. False where a
 * part of it is no name: that is *wrong then, with this length.
 */
bool gate_parse(struct gate *gate, const char *list, const char **wrong, size_t *length);

/* The names that a list may have. */
const char *gate_names(void);

/* How many findings that the baseline does not accept fail the run. */
unsigned long gate_failures(const struct gate *gate, const struct run *run);

struct baseline;

/* NULL: *problem is one line, to be freed. */
struct baseline *baseline_read(const char *path, char **problem);

/* Marks the findings that it has; returns how many of its entries have no finding any more. */
size_t baseline_apply(struct baseline *baseline, struct run *run);
const char *baseline_stale(const struct baseline *baseline, size_t i);

/*
 * Make the file from all findings (baseline NULL), which are accepted then, or take the stale
 * entries out of it. The file is complete or as it was. False: *problem is one line, to be freed.
 */
bool baseline_write(const char *path, struct baseline *baseline, struct run *run, char **problem);

#endif
