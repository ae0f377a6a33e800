/* All that was found, as JSON for other tools. See json_report.c. */
#ifndef JSON_REPORT_H
#define JSON_REPORT_H

#include "run.h"

#include <stdbool.h>
#include <stdio.h>

/* False when writing failed. */
bool json_report(const struct run *run, FILE *out);

#endif
