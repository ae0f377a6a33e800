/* From addresses to names, and to the suite that a stack belongs to. See stacks.c. */
#ifndef STACKS_H
#define STACKS_H

#include "reading.h"

/* Fill in the `stack` and `suite` of every stack. */
void stacks_name(struct reading *reading);

#endif
