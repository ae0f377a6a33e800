/* The run as JUnit XML: a test case per suite. See junit_report.c. */
#ifndef JUNIT_REPORT_H
#define JUNIT_REPORT_H

#include "run.h"

#include <stdio.h>

/* False when writing failed, or memory ran out. */
bool junit_report(const struct run *run, FILE *out);

#endif
