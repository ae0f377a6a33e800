/* The findings as SARIF 2.1.0, for code hosts. See sarif_report.c. */
#ifndef SARIF_REPORT_H
#define SARIF_REPORT_H

#include "run.h"

#include <stdio.h>

/* False when writing failed, or memory ran out. */
bool sarif_report(const struct run *run, FILE *out);

#endif
