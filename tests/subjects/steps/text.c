/* Text in and out: fields and escapes of a script's lines, and answers in one line of ASCII. */
#include "steps.h"

#include <stdio.h>
#include <string.h>

void unescape(char *text)
{
	char *to = text;
	unsigned byte;

	for (const char *from = text; *from; to++) {
		size_t taken = 2;

		if (from[0] == '\\' && from[1] == 'n')
			*to = '\n';
		else if (from[0] == '\\' && from[1] == 't')
			*to = '\t';
		else if (from[0] == '\\' && from[1] == 's')
			*to = ' ';
		else if (from[0] == '\\' && from[1] == '\\')
			*to = '\\';
		else if (sscanf(from, "\\x%2x", &byte) == 1) {
			*to = (char)byte;
			taken = 4;
		} else {
			*to = *from;
			taken = 1;
		}
		from += taken;
	}
	*to = '\0';
}

/* What is printed is one line of ASCII, whatever the encoding. */
void print_text(const char *text)
{
	for (; text && *text; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte == '\n')
			printf("\\n");
		else if (byte == '\\')
			printf("\\\\");
		else if (byte < ' ' || byte > '~')
			printf("\\x%02x", byte);
		else
			putchar(byte);
	}
}

void print_labelled(const char *label, const char *text)
{
	printf(" %s=", label);
	print_text(text ? text : "<NULL>");
}

char *next_field(char **rest, char separator)
{
	char *field = *rest;
	char *end = strchr(field, separator);

	*rest = end ? end + 1 : field + strlen(field);
	if (end)
		*end = '\0';
	return field;
}

/* Values separated by commas, escaped one by one; returns how many. */
int split_values(char *text, const char **values)
{
	int count = 0;

	while (*text && count < MOST_VALUES) {
		char *value = next_field(&text, ',');

		values[count++] = strcmp(value, "\\N") == 0 ? NULL : value;
		unescape(value);
	}
	return count;
}
