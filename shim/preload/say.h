/* What pqleash says on stderr: one line each, never a password. See say.c. */
#ifndef SAY_H
#define SAY_H

/*
 * Look at what stderr is, before the first connection is made. Where it is closed then, or its
 * number is that of another socket later, nothing is said: that could go to a server.
 */
void say_to_this_stderr(void);

/* Write one line "pqleash: ..." with a single write(2); longer lines are cut off. Keeps errno. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, with PQLEASH_DEBUG=1 only. */
void say_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
