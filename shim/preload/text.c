/*
 * Growing texts, for keys, statements and messages. Owns nothing but their memory; knows nothing of
 * what is in them, and so takes all of it for a secret.
 */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All of it: there may be zeros among the bytes. */
static void wipe(struct text *text)
{
	if (text->bytes)
		explicit_bzero(text->bytes, text->room);
	free(text->bytes);
}

void text_fail(struct text *text)
{
	text_free(text);
	text->failed = true;
}

static bool grow(struct text *text, size_t more)
{
	size_t room = text->room ? text->room : 256;

	while (room < text->length + more + 1)
		room *= 2;
	/* realloc would leave a copy behind. */
	char *bytes = text->failed ? NULL : malloc(room);
	if (!bytes) {
		text_fail(text);
		return false;
	}
	if (text->bytes)
		memcpy(bytes, text->bytes, text->length + 1);
	wipe(text);
	text->bytes = bytes;
	text->room = room;
	return true;
}

static inline bool make_room(struct text *text, size_t more)
{
	return more < text->room - text->length || grow(text, more);
}

void text_add(struct text *text, const char *format, ...)
{
	va_list arguments;

	size_t left = text->room - text->length;
	char *end = text->bytes ? text->bytes + text->length : NULL;

	if (text->failed)
		return;
	va_start(arguments, format);
	int length = vsnprintf(end, end ? left : 0, format, arguments);
	va_end(arguments);
	/* More than printf can count: a piece must not be left out of the middle. */
	if (length < 0)
		text_fail(text);
	bool fits = (size_t)length < left;
	if (text->failed || (!fits && !make_room(text, (size_t)length)))
		return;
	if (!fits) {
		va_start(arguments, format);
		vsnprintf(text->bytes + text->length, (size_t)length + 1, format, arguments);
		va_end(arguments);
	}
	text->length += (size_t)length;
}

void text_add_bytes(struct text *text, const char *bytes, size_t length)
{
	if (length == 0 || text->failed || !make_room(text, length))
		return;
	memcpy(text->bytes + text->length, bytes, length);
	text->length += length;
	text->bytes[text->length] = '\0';
}

void text_add_byte(struct text *text, char byte)
{
	text_add_bytes(text, &byte, 1);
}

void text_add_string(struct text *text, const char *string)
{
	text_add_bytes(text, string, strlen(string));
}

void text_add_number(struct text *text, int64_t number)
{
	char digits[20], *first = digits + sizeof digits;
	uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;

	do
		*--first = (char)('0' + rest % 10);
	while ((rest /= 10) > 0);
	if (number < 0)
		*--first = '-';
	text_add_bytes(text, first, (size_t)(digits + sizeof digits - first));
}

char *text_take(struct text *text)
{
	char *bytes = text->failed ? NULL : text->bytes;

	*text = (struct text){0};
	return bytes;
}

void text_free(struct text *text)
{
	wipe(text);
	*text = (struct text){0};
}

void text_wipe(char *bytes)
{
	if (bytes)
		explicit_bzero(bytes, strlen(bytes));
	free(bytes);
}
