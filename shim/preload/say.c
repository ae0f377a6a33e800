/*
 * Lines on stderr. Owns their form: "pqleash: ", one write(2) a line so that lines of several
 * processes do not mix, and errno as it was, because a program may look at it after any libpq call.
 */
#include "say.h"
#include "settings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void write_line(const char *format, va_list arguments)
{
	static const char prefix[] = "pqleash: ";
	char line[2048];
	int saved_errno = errno;
	size_t room = sizeof line - 1;

	memcpy(line, prefix, sizeof prefix - 1);
	int length = vsnprintf(line + sizeof prefix - 1, room - sizeof prefix, format, arguments);
	size_t end = sizeof prefix - 1 + (length > 0 ? (size_t)length : 0);

	if (end > room - 2)
		end = room - 2;
	line[end++] = '\n';
	ssize_t written = write(STDERR_FILENO, line, end);
	(void)written;
	errno = saved_errno;
}

void say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_line(format, arguments);
	va_end(arguments);
}

void say_debug(const char *format, ...)
{
	va_list arguments;

	if (!settings()->debug)
		return;
	va_start(arguments, format);
	write_line(format, arguments);
	va_end(arguments);
}
