/* The run as one self-contained page. See html_report.c. */
#ifndef HTML_REPORT_H
#define HTML_REPORT_H

#include "run.h"

#include <stdio.h>

/* False when writing failed, or memory ran out. */
bool html_report(const struct run *run, FILE *out);

#endif
