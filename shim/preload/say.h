/* What pqleash says on stderr: one line each, never a password. See say.c. */
#ifndef SAY_H
#define SAY_H

/* Write one line "pqleash: ..." with a single write(2); longer lines are cut off. Keeps errno. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, with PQLEASH_DEBUG=1 only. */
void say_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
