/* Commands whose results are fetched later: PQsendQuery and its family. See command.c. */
#ifndef COMMAND_H
#define COMMAND_H

#include "libpq.h"

enum command_kind {
	COMMAND_QUERY,
	COMMAND_QUERY_PARAMS,
	COMMAND_PREPARE,
	COMMAND_QUERY_PREPARED,
	COMMAND_DESCRIBE_PREPARED,
	COMMAND_DESCRIBE_PORTAL,
	COMMAND_CLOSE_PREPARED,
	COMMAND_CLOSE_PORTAL,
};

/* The arguments of one of them; what its kind has not is NULL or 0. */
struct command {
	enum command_kind kind;
	const char *query, *name; /* name: of a statement or portal */
	int count;                /* of parameters */
	const Oid *types;
	const char *const *values;
	const int *lengths, *formats;
	int result_format;
};

/* Hand it to libpq. Returns what libpq returns: 1, or 0 with the connection's error message set. */
int command_send(const struct command *command, PGconn *conn);

/* A copy in memory of its own, for later; NULL when there is no memory. Ends with command_free. */
struct command *command_copy(const struct command *command);
void command_free(struct command *command);

#endif
