/*
 * Stands in for intern.c, which never frees: thousands of inputs a second would fill the machine. All
 * of it is one list of blocks. Also for symbols.c, which would look into whatever files a trace
 * names; and owns the file that an input becomes.
 */
#include "forgetful.h"
#include "intern.h"
#include "symbols.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

struct block {
	struct block *next;
	max_align_t bytes[];
};

struct text {
	UT_hash_handle hh;
	char bytes[];
};

static struct block *blocks;
static struct text *texts;

void *keep(size_t size)
{
	struct block *block = calloc(1, sizeof *block + size);

	if (!block)
		abort();
	block->next = blocks;
	blocks = block;
	return block->bytes;
}

void *grow(void *array, size_t count, size_t size)
{
	if (count > 0 && (count & (count - 1)) != 0)
		return array;
	void *larger = keep((count > 0 ? 2 * count : 1) * size);
	return count > 0 ? memcpy(larger, array, count * size) : larger;
}

const char *intern(const char *text)
{
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

void forget(void)
{
	HASH_CLEAR(hh, texts);
	for (struct block *next; blocks; blocks = next) {
		next = blocks->next;
		free(blocks);
	}
}

/* One or two functions, whose source is the module; some have none, nor a name. */
size_t symbols_at(const char *path, const char *build_id, uint64_t offset, struct place **places)
{
	size_t count = 1 + offset % 2;

	*places = keep((count + 1) * sizeof **places);
	for (size_t i = 0; i < count; i++)
		(*places)[i] = (struct place){.function = build_id[0] ? build_id : NULL,
		    .file = offset % 5 ? path : NULL,
		    .line = (int)(offset % 1000),
		    .module = path,
		    .offset = offset,
		    .inlined = i + 1 < count};
	return count;
}

static char folder[64], path[128];

static void remove_folder(void)
{
	unlink(path);
	rmdir(folder);
}

const char *its_folder(void)
{
	return folder;
}

const char *one_file(const char *name, const uint8_t *bytes, size_t size)
{
	if (!folder[0]) {
		strcpy(folder, "/tmp/pqleash-fuzz.XXXXXX");
		if (!mkdtemp(folder))
			abort();
		snprintf(path, sizeof path, "%s/%s", folder, name);
		atexit(remove_folder);
	}
	int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (file < 0 || write(file, bytes, size) != (ssize_t)size)
		abort();
	close(file);
	return path;
}
