/* The little that must be known of a statement's text before it is sent. See statement.c. */
#ifndef STATEMENT_H
#define STATEMENT_H

#include <stdbool.h>
#include <stddef.h>

struct session;

enum {
	STATEMENT_CHANGES_LOGIN = 1, /* a new connection: databases, roles, ALTER SYSTEM */
	STATEMENT_SHOWS_PID = 2,     /* the program learns its backend's pid */
	STATEMENT_SEEDS = 4,         /* setseed: the random state cannot be read back */
	STATEMENT_SETS_UNKNOWN = 8,  /* set_config of a name that is not in the text */
	STATEMENT_LINKS = 16,        /* dblink_connect: a connection that DISCARD ALL leaves open */
	STATEMENT_LISTENS = 32,      /* notifications may come from now on */
	STATEMENT_UNLISTENS = 64,    /* to one channel less */
	STATEMENT_UNLISTENS_ALL = 128, /* UNLISTEN *, or DISCARD */
	STATEMENT_LOADS = 256,         /* LOAD: a library that DISCARD ALL leaves there */
	STATEMENT_ENDS_OTHERS = 512,   /* pg_terminate_backend */
	STATEMENT_SETS = 1024,         /* SET or set_config, perhaps to the value there was */
};

/*
 * What a text of SQL does, as flags; remembers the custom settings it names. Any thread, no server.
 */
unsigned statement_scan(const char *query);

/*
 * Act on a text that the session is about to send; query may be NULL.
 *   prepares  it is not executed now, but at any time, without a word of it
 */
void statement_sent(struct session *session, const char *query, bool prepares);

/* Whether the program has made a function that sets something: no text of a call tells. */
bool statement_made_setter(void);

/* How many custom settings are remembered. */
#define MOST_CUSTOM_SETTINGS 256

/*
 * Custom settings (with a dot in their name) seen in this process. The server lists them nowhere,
 * and DISCARD ALL cannot remove one. Names are interned: equal names are equal pointers, for ever.
 */
const char *custom_intern(const char *name, size_t length);
size_t custom_count(void);
const char *custom_name(size_t index);

/* More custom settings than are remembered: sessions cannot be moved safely any more. */
bool custom_overflowed(void);

#endif
