/* Where in the program a call comes from, for the trace. See stack.c. */
#ifndef STACK_H
#define STACK_H

/*
 * The number of the present stack, from the caller of libpq outwards; the trace gets a line for a
 * stack that it does not know yet, and one for each module of it. 0 where there is none. Any thread.
 */
unsigned long stack_now(void);

/* A forked child writes a trace of its own, which knows none of them. */
void stack_forget_all(void);

#endif
