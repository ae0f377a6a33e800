/* The run for people, in 80 columns. See text_report.c. */
#ifndef TEXT_REPORT_H
#define TEXT_REPORT_H

#include "run.h"

#include <stdbool.h>
#include <stdio.h>

/* Whether colours would be seen: a terminal, and nobody has said NO_COLOR. */
bool text_report_colour(FILE *out);

/* False when writing failed. */
bool text_report(const struct run *run, bool colour, FILE *out);

#endif
