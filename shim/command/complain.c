/* Lines on stderr. Owns their form, and that what a user typed by mistake shows no password. */
#include "complain.h"

#include <ctype.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void complain(const char *format, ...)
{
	char line[2 * PATH_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	fprintf(stderr, "pqleash: %s\n", line);
}

struct shown show_part(const char *typed, size_t length)
{
	struct shown shown;
	const char *url = memmem(typed, length, "://", 3);
	size_t shown_length = url ? (size_t)(url - typed) + 3 : length;

	if (shown_length > sizeof shown.text - sizeof "...")
		shown_length = sizeof shown.text - sizeof "...";
	for (size_t i = 0; i < shown_length; i++)
		shown.text[i] = iscntrl((unsigned char)typed[i]) ? '?' : typed[i];
	snprintf(shown.text + shown_length, sizeof "...", "%s", shown_length < length ? "..." : "");
	return shown;
}

struct shown show(const char *typed)
{
	return show_part(typed, strlen(typed));
}
