/* From what happened to what is worth telling. See findings.c. */
#ifndef FINDINGS_H
#define FINDINGS_H

#include "reading.h"
#include "run.h"

/* What was read becomes a run: sessions, levels, and findings sorted by harm, one for each place. */
void findings_make(struct reading *reading, struct run *run);

#endif
