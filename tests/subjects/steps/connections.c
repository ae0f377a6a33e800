/* Opening, resetting and finishing connections in every way libpq has, and their state. */
#include "steps.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_status(struct named *session)
{
	static const char *const transactions[] = {
	    "IDLE", "ACTIVE", "INTRANS", "INERROR", "UNKNOWN"};

	printf("%s %s ", PQstatus(session->conn) == CONNECTION_OK ? "OK" : "BAD",
	    transactions[PQtransactionStatus(session->conn)]);
}

static void print_error(struct named *session)
{
	print_text(PQerrorMessage(session->conn));
}

static void opened(struct named *session, PGconn *conn)
{
	session->conn = conn;
	session->socket = -1;
	print_status(session);
	print_error(session);
}

static void do_open(struct named *session, char **words)
{
	opened(session, PQconnectdb(words[1]));
}

/* KEY=VALUE<tab>KEY=VALUE... into arrays of MOST_VALUES + 1, which are all NULL before. */
static void split_parameters(char *rest, const char **keywords, const char **values)
{
	for (int i = 0; *rest && i < MOST_VALUES; i++) {
		char *value = next_field(&rest, '\t');

		keywords[i] = next_field(&value, '=');
		values[i] = value;
	}
}

static void do_open_params(struct named *session, char **words)
{
	const char *keywords[MOST_VALUES + 1] = {NULL}, *values[MOST_VALUES + 1] = {NULL};

	split_parameters(words[2], keywords, values);
	opened(session, PQconnectdbParams(keywords, values, atoi(words[1])));
}

static void do_login(struct named *session, char **words)
{
	const char *values[6];
	char *rest = words[1];

	for (int i = 0; i < 6; i++) {
		values[i] = next_field(&rest, '|');
		if (!*values[i])
			values[i] = NULL;
	}
	opened(session,
	    PQsetdbLogin(values[0], values[1], values[2], NULL, values[3], values[4], values[5]));
}

/* As libpq's manual wants it: write first, then what the last poll asked for. */
static void poll_until_open(PGconn *conn, PostgresPollingStatusType (*poll_once)(PGconn *))
{
	PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;

	while (wanted != PGRES_POLLING_OK && wanted != PGRES_POLLING_FAILED) {
		struct pollfd ready = {.fd = PQsocket(conn),
		    .events = wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT};

		if (ready.fd >= 0)
			poll(&ready, 1, -1);
		wanted = poll_once(conn);
	}
}

/* Several connections may be begun before the first is polled. */
static void do_begin(struct named *session, char **words)
{
	session->conn = PQconnectStart(words[1]);
	session->socket = -1;
	if (PQstatus(session->conn) != CONNECTION_BAD)
		printf("begun");
	else
		opened(session, session->conn);
}

static void do_poll(struct named *session, char **words)
{
	(void)words;
	if (PQstatus(session->conn) != CONNECTION_BAD)
		poll_until_open(session->conn, PQconnectPoll);
	opened(session, session->conn);
}

static void do_start_params(struct named *session, char **words)
{
	const char *keywords[MOST_VALUES + 1] = {NULL}, *values[MOST_VALUES + 1] = {NULL};

	split_parameters(words[2], keywords, values);
	PGconn *conn = PQconnectStartParams(keywords, values, atoi(words[1]));
	if (conn && PQstatus(conn) != CONNECTION_BAD)
		poll_until_open(conn, PQconnectPoll);
	opened(session, conn);
}

static void do_start(struct named *session, char **words)
{
	PGconn *conn = PQconnectStart(words[1]);

	if (conn && PQstatus(conn) != CONNECTION_BAD)
		poll_until_open(conn, PQconnectPoll);
	opened(session, conn);
}

static void do_reset(struct named *session, char **words)
{
	(void)words;
	PQreset(session->conn);
	opened(session, session->conn);
}

static void do_reset_start(struct named *session, char **words)
{
	(void)words;
	if (PQresetStart(session->conn))
		poll_until_open(session->conn, PQresetPoll);
	opened(session, session->conn);
}

static void do_finish(struct named *session, char **words)
{
	(void)words;
	PQfinish(session->conn);
}

static void print_ping(PGPing ping)
{
	static const char *const answers[] = {"OK", "REJECT", "NO_RESPONSE", "NO_ATTEMPT"};

	printf("%s", answers[ping]);
}

static void do_ping(char **words)
{
	print_ping(PQping(words[0]));
}

static void do_ping_params(char **words)
{
	const char *keywords[MOST_VALUES + 1] = {NULL}, *values[MOST_VALUES + 1] = {NULL};

	split_parameters(words[1], keywords, values);
	print_ping(PQpingParams(keywords, values, atoi(words[0])));
}

/* The one option of a list that is asked for; frees the list. */
static void print_option(PQconninfoOption *options, const char *keyword)
{
	for (PQconninfoOption *option = options; option && option->keyword; option++)
		if (strcmp(option->keyword, keyword) == 0)
			print_labelled(keyword, option->val);
	PQconninfoFree(options);
}

static void do_option(struct named *session, char **words)
{
	print_option(PQconninfo(session->conn), words[1]);
}

static void do_parse(char **words)
{
	char *error = NULL;

	print_option(PQconninfoParse(words[1], &error), words[0]);
	print_text(error);
	PQfreemem(error);
}

static void do_setenv(char **words)
{
	setenv(words[0], words[1], 1);
}

static void do_unsetenv(char **words)
{
	unsetenv(words[0]);
}

static void do_status(struct named *session, char **words)
{
	(void)words;
	print_status(session);
}

static void do_error(struct named *session, char **words)
{
	(void)words;
	print_error(session);
}

const struct command connection_commands[] = {
    {"open", do_open, NULL, 2, 0},                 /* NAME CONNINFO */
    {"open_params", do_open_params, NULL, 3, 0},   /* NAME EXPAND KEY=VALUE<tab>KEY=VALUE... */
    {"login", do_login, NULL, 2, 0},               /* NAME host|port|options|dbname|user|password */
    {"start", do_start, NULL, 2, 0},               /* NAME CONNINFO */
    {"start_params", do_start_params, NULL, 3, 0}, /* NAME EXPAND KEY=VALUE<tab>KEY=VALUE... */
    {"begin", do_begin, NULL, 2, 0},               /* NAME CONNINFO */
    {"poll", do_poll, NULL, 1, 0},                 /* NAME */
    {"reset", do_reset, NULL, 1, 0},               /* NAME */
    {"reset_start", do_reset_start, NULL, 1, 0},   /* NAME */
    {"finish", do_finish, NULL, 1, 0},             /* NAME */
    {"ping", NULL, do_ping, 1, 0},                 /* CONNINFO */
    {"ping_params", NULL, do_ping_params, 2, 0},   /* EXPAND KEY=VALUE<tab>KEY=VALUE... */
    {"option", do_option, NULL, 2, 0},             /* NAME KEYWORD */
    {"parse", NULL, do_parse, 2, 0},               /* KEYWORD CONNINFO */
    {"setenv", NULL, do_setenv, 2, 0},             /* VARIABLE VALUE */
    {"unsetenv", NULL, do_unsetenv, 1, 0},         /* VARIABLE */
    {"status", do_status, NULL, 1, 0},             /* NAME */
    {"error", do_error, NULL, 1, 0},               /* NAME */
    {0},
};
