/*
 * PQsendQuery and its family as data, so that a command can wait until its session has a backend.
 * Knows nothing of sessions.
 */
#include "command.h"

#include <stdlib.h>
#include <string.h>

int command_send(const struct command *c, PGconn *conn)
{
	switch (c->kind) {
	case COMMAND_QUERY:
		return REAL(PQsendQuery)(conn, c->query);
	case COMMAND_QUERY_PARAMS:
		return REAL(PQsendQueryParams)(conn, c->query, c->count, c->types, c->values,
		    c->lengths, c->formats, c->result_format);
	case COMMAND_PREPARE:
		return REAL(PQsendPrepare)(conn, c->name, c->query, c->count, c->types);
	case COMMAND_QUERY_PREPARED:
		return REAL(PQsendQueryPrepared)(
		    conn, c->name, c->count, c->values, c->lengths, c->formats, c->result_format);
	case COMMAND_DESCRIBE_PREPARED:
		return REAL(PQsendDescribePrepared)(conn, c->name);
	case COMMAND_DESCRIBE_PORTAL:
		return REAL(PQsendDescribePortal)(conn, c->name);
	case COMMAND_CLOSE_PREPARED:
		return REAL(PQsendClosePrepared)(conn, c->name);
	case COMMAND_CLOSE_PORTAL:
		return REAL(PQsendClosePortal)(conn, c->name);
	}
	return 0;
}

/* One block of memory, filled from the front; pieces are aligned for pointers. */
struct block {
	char *bytes; /* NULL while only the size is wanted */
	size_t used;
};

static void *put(struct block *block, const void *bytes, size_t size)
{
	void *copy = block->bytes ? block->bytes + block->used : NULL;

	if (!bytes)
		return NULL;
	if (copy)
		memcpy(copy, bytes, size);
	block->used += (size + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *);
	return copy;
}

static char *put_text(struct block *block, const char *text)
{
	return put(block, text, text ? strlen(text) + 1 : 0);
}

/* A binary value is as long as its length says; any other ends at its zero byte. */
static size_t value_size(const struct command *command, int i)
{
	bool binary = command->formats && command->formats[i] != 0 && command->lengths;

	return binary ? (size_t)command->lengths[i] : strlen(command->values[i]) + 1;
}

static struct command *fill(struct block *block, const struct command *command)
{
	size_t count = command->count > 0 ? (size_t)command->count : 0;
	struct command *copy = put(block, command, sizeof *command);
	const char *query = put_text(block, command->query), *name = put_text(block, command->name);
	const Oid *types = put(block, command->types, count * sizeof(Oid));
	const int *lengths = put(block, command->lengths, count * sizeof(int));
	const int *formats = put(block, command->formats, count * sizeof(int));
	const char **values = put(block, command->values, count * sizeof(char *));

	for (size_t i = 0; command->values && i < count; i++) {
		const char *given = command->values[i];
		const char *value = put(block, given, given ? value_size(command, (int)i) : 0);

		if (values)
			values[i] = value;
	}
	if (copy)
		*copy = (struct command){command->kind, query, name, command->count, types, values,
		    lengths, formats, command->result_format};
	return copy;
}

struct command *command_copy(const struct command *command)
{
	struct block block = {0};

	fill(&block, command);
	block.bytes = malloc(block.used);
	block.used = 0;
	return block.bytes ? fill(&block, command) : NULL;
}

void command_free(struct command *command)
{
	free(command);
}
