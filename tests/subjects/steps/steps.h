/*
 * steps: a plain libpq program that does what a script tells it and prints what libpq answers, so
 * that a test is one script, run with and without pqleash, and the answers compared. See main.c.
 */
#ifndef STEPS_H
#define STEPS_H

#include <libpq-fe.h>
#include <stdbool.h>

#define MOST_WORDS 4
#define MOST_VALUES 100

/* Texts that libpq keeps where they are for the connection's life. */
#define KEPT 9

/* A connection by the name it has in the script. */
struct named {
	struct named *next;
	char *name;
	PGconn *conn;           /* of the last open, also when it is finished */
	int socket;             /* as PQsocket said first; -1 for not yet */
	PQnoticeReceiver quiet; /* libpq's own */
	const char *kept[KEPT];
	char *copies[KEPT];
};

/* One command of a script; what it does is called with the session of its first word, or alone. */
struct command {
	const char *name;
	void (*with_session)(struct named *session, char **words); /* words[0] is its name */
	void (*alone)(char **words);
	int words; /* the last takes the rest of the line */
	int list;  /* the word that holds values, unescaped one by one; 0 for none */
};

/* Each ends with an entry that has no name. */
extern const struct command connection_commands[], statement_commands[], client_commands[],
    cooperation_commands[];

/* \n \t \s \\ and \xHH become bytes, in place. */
void unescape(char *text);

/* The text up to the separator, which is overwritten; *rest points behind it. */
char *next_field(char **rest, char separator);

/* Values separated by commas, \N is NULL; at most MOST_VALUES. Returns how many. */
int split_values(char *text, const char **values);

/* Printed in one line of ASCII, whatever the encoding. */
void print_text(const char *text);

/* label=text */
void print_labelled(const char *label, const char *text);

#endif
