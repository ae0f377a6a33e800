/*
 * Texts and memory of a run. A report is made once and the process ends, so nothing is freed, and
 * without memory there is nothing to report: one line says so.
 */
#include "intern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct text {
	UT_hash_handle hh;
	char bytes[];
};

static void *or_end(void *memory)
{
	if (memory)
		return memory;
	fputs("pqleash: no memory for the report\n", stderr);
	exit(125);
}

void *keep(size_t size)
{
	return or_end(calloc(1, size));
}

/* At 0, 1, 2, 4, 8, ... elements there is room for twice as many afterwards. */
void *grow(void *array, size_t count, size_t size)
{
	if (count > 0 && (count & (count - 1)) != 0)
		return array;
	return or_end(reallocarray(array, count > 0 ? 2 * count : 1, size));
}

const char *intern(const char *text)
{
	static struct text *texts;
	struct text *found;

	if (!text)
		return NULL;
	size_t length = strlen(text);
	HASH_FIND(hh, texts, text, length, found);
	if (!found) {
		found = keep(sizeof *found + length + 1);
		memcpy(found->bytes, text, length);
		HASH_ADD(hh, texts, bytes, length, found);
	}
	return found->bytes;
}
