/*
 * Lines on stderr. Owns their form: "pqleash: ", one write(2) a line so that lines of several
 * processes do not mix, and errno as it was, because a program may look at it after any libpq call.
 */
#include "say.h"
#include "settings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct stat first_stderr;
static enum { UNSEEN, CLOSED, OPEN } stderr_was;

void say_to_this_stderr(void)
{
	int saved_errno = errno;

	stderr_was = fstat(STDERR_FILENO, &first_stderr) == 0 ? OPEN : CLOSED;
	errno = saved_errno;
}

/* A program that has closed its stderr may get the number back for a socket of libpq's. */
static bool is_safe_to_write(void)
{
	struct stat now;

	if (stderr_was == UNSEEN)
		return true;
	if (stderr_was == CLOSED || fstat(STDERR_FILENO, &now) != 0)
		return false;
	return !S_ISSOCK(now.st_mode) ||
	       (now.st_dev == first_stderr.st_dev && now.st_ino == first_stderr.st_ino);
}

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
	/* A value of the environment may hold anything: it must not become a line of its own. */
	for (size_t i = 0; i < end; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[end++] = '\n';
	ssize_t written = is_safe_to_write() ? write(STDERR_FILENO, line, end) : 0;
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
