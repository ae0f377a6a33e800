/*
 * Findings as annotations of lines of code: the workflow commands that GitHub Actions reads from a job's
 * output, and the wording that the other reports for machines share. See github_report.c.
 */
#ifndef GITHUB_REPORT_H
#define GITHUB_REPORT_H

#include "run.h"

#include <stdio.h>

/*
 * One annotation per finding that the baseline does not accept; the runner shows the first ten errors and
 * ten warnings of a step, so the worst come first. False when writing failed.
 */
bool github_report(const struct run *run, FILE *out);

/* Whether it fails a run by default, and so is an error; the others are warnings. */
bool annotation_is_error(enum finding_kind kind);

/* "2 connections opened here were never finished ...": one sentence. To be freed; NULL without memory. */
char *annotation_sentence(const struct finding *finding);

/* "function (file:line)", "function in module" or "module+0x1f"; one line, not ended. */
void annotation_frame(const struct place *place, FILE *out);

/*
 * The file as a path below the root of the source tree: what GITHUB_WORKSPACE names, else the nearest
 * folder around the current one that has a .git, else the current one. A file elsewhere comes back whole
 * and starts with a slash. To be freed; NULL without memory.
 */
char *annotation_path(const char *file);

/*
 * A copy that JSON and XML can carry: what is no UTF-8, and control characters but tab and newline, are
 * each replaced by U+FFFD. "" for NULL. To be freed; NULL without memory.
 */
char *annotation_text(const char *text);

#endif
