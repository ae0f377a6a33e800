/* The stack of the present call. See unwind.c. */
#ifndef UNWINDING_H
#define UNWINDING_H

#include <stddef.h>
#include <stdint.h>

/* Return addresses from the innermost outwards, at most so many; 0 where they cannot be found. */
size_t unwind_stack(uintptr_t *addresses, size_t most);

#endif
