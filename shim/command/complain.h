/* Lines on stderr, and what may be shown in them. See complain.c. */
#ifndef COMPLAIN_H
#define COMPLAIN_H

#include <stddef.h>

/* As env(1), nice(1) and the shells have them. */
enum { STATUS_REFUSED = 125, STATUS_CANNOT_RUN = 126, STATUS_NOT_FOUND = 127 };

#define SEE_HELP "; see pqleash --help"

/* One line on stderr. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Complain and give up. */
#define refuse(...) (complain(__VA_ARGS__), exit(STATUS_REFUSED))

/*
 * Something the user typed, fit to be shown: on one line, and cut off where a URL gets interesting,
 * because a password may stand there (pqleash --limit postgres://...).
 */
struct shown {
	char text[1024];
};

struct shown show_part(const char *typed, size_t length);
struct shown show(const char *typed);

#endif
