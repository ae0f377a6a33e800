/*
 * A growing text. Where memory runs out it becomes, and stays, NULL: check once, at the end. There
 * may be a password in it: none of its memory is given back before it is wiped. See text.c.
 */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
	char *bytes; /* zero-terminated; NULL while empty or after failure */
	size_t length, room;
	bool failed;
};

void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_byte(struct text *text, char byte);
void text_add_bytes(struct text *text, const char *bytes, size_t length);

/* A tenth of the time of text_add, for what is written often. */
void text_add_string(struct text *text, const char *string);
void text_add_number(struct text *text, int64_t number);

/* As if memory had run out: a piece that cannot be had must not be left out of the middle. */
void text_fail(struct text *text);

/* The bytes, for the caller to free; NULL where memory ran out. */
char *text_take(struct text *text);
void text_free(struct text *text);

/* free() for a zero-terminated text that may hold a password; NULL is fine. */
void text_wipe(char *bytes);

#endif
