/* Running statements, at once or asynchronously, with COPY and notifications. */
#include "steps.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

static void print_rows(const PGresult *result)
{
	for (int row = 0; row < PQntuples(result); row++) {
		printf("\n  ");
		for (int column = 0; column < PQnfields(result); column++) {
			if (column)
				putchar('|');
			print_text(PQgetisnull(result, row, column)
				       ? "<NULL>"
				       : PQgetvalue(result, row, column));
		}
	}
}

/* Prints and clears; false when there was none. */
static int print_result(const struct named *session, PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (!result) {
		printf("no result: ");
		print_text(PQerrorMessage(session->conn));
		return 0;
	}
	printf("%s %s ", PQresStatus(PQresultStatus(result)), PQcmdStatus(result));
	if (state)
		printf("%s ", state);
	print_text(PQresultErrorMessage(result));
	print_rows(result);
	PQclear(result);
	return 1;
}

static void print_done(const struct named *session, int done)
{
	printf("%d ", done);
	if (!done)
		print_text(PQerrorMessage(session->conn));
}

static void do_exec(struct named *session, char **words)
{
	print_result(session, PQexec(session->conn, words[1]));
}

static void do_params(struct named *session, char **words)
{
	const char *values[MOST_VALUES];
	int count = split_values(words[1], values);

	print_result(
	    session, PQexecParams(session->conn, words[2], count, NULL, values, NULL, NULL, 0));
}

static sigjmp_buf out;

static void leave(int signal)
{
	(void)signal;
	siglongjmp(out, 1);
}

/* As programs do that have a time limit of their own: the call is left in the middle. */
static void do_jump(struct named *session, char **words)
{
	int after_ms = atoi(words[1]);
	struct itimerval timer = {.it_value = {after_ms / 1000, after_ms % 1000 * 1000}},
			 none = {0};

	signal(SIGALRM, leave);
	if (sigsetjmp(out, 1)) {
		printf("jumped");
		return;
	}
	setitimer(ITIMER_REAL, &timer, NULL);
	print_result(session, PQexec(session->conn, words[2]));
	setitimer(ITIMER_REAL, &none, NULL);
}

static void do_prepare(struct named *session, char **words)
{
	print_result(session, PQprepare(session->conn, words[1], words[2], 0, NULL));
}

static void do_prepare_typed(struct named *session, char **words)
{
	const char *values[MOST_VALUES];
	Oid types[MOST_VALUES];
	int count = split_values(words[2], values);

	for (int i = 0; i < count; i++)
		types[i] = (Oid)strtoul(values[i], NULL, 10);
	print_result(session, PQprepare(session->conn, words[1], words[3], count, types));
}

static void do_execute(struct named *session, char **words)
{
	const char *values[MOST_VALUES];
	int count = split_values(words[2], values);

	print_result(
	    session, PQexecPrepared(session->conn, words[1], count, values, NULL, NULL, 0));
}

static void do_describe(struct named *session, char **words)
{
	PGresult *result = PQdescribePrepared(session->conn, words[1]);

	for (int i = 0; i < PQnparams(result); i++)
		printf("$%d:%u ", i + 1, PQparamtype(result, i));
	for (int i = 0; i < PQnfields(result); i++)
		printf("%s:%u ", PQfname(result, i), PQftype(result, i));
	print_result(session, result);
}

static void do_send(struct named *session, char **words)
{
	print_done(session, PQsendQuery(session->conn, words[1]));
}

static void do_single_row(struct named *session, char **words)
{
	(void)words;
	printf("%d", PQsetSingleRowMode(session->conn));
}

/* One result of several. */
static void do_result(struct named *session, char **words)
{
	(void)words;
	print_result(session, PQgetResult(session->conn));
}

/* libpq repeats a COPY's result until the copying is over. */
static int is_copy(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

static void do_results(struct named *session, char **words)
{
	PGresult *result = NULL;
	int copying = 0;

	(void)words;
	while (!copying && (result = PQgetResult(session->conn))) {
		copying = is_copy(result);
		print_result(session, result);
		putchar(' ');
	}
	printf(copying ? "copying" : "none");
}

static void do_put(struct named *session, char **words)
{
	print_done(session, PQputCopyData(session->conn, words[1], (int)strlen(words[1])));
}

static void do_put_end(struct named *session, char **words)
{
	print_done(session, PQputCopyEnd(session->conn, NULL));
	do_results(session, words);
}

/* The data stands in the lines that follow, up to one that is "\.". */
static void do_copy_in(struct named *session, char **words)
{
	char *line = NULL;
	size_t room = 0;

	do_exec(session, words);
	while (getline(&line, &room, stdin) > 0 && strcmp(line, "\\.\n") != 0)
		PQputCopyData(session->conn, line, (int)strlen(line));
	free(line);
	do_put_end(session, words);
}

/* One row of COPY TO STDOUT. */
static void do_get(struct named *session, char **words)
{
	char *row = NULL;
	int length = PQgetCopyData(session->conn, &row, 0);

	(void)words;
	printf("%d ", length);
	print_text(row);
	PQfreemem(row);
}

static void do_notifies(struct named *session, char **words)
{
	PGnotify *notify;

	(void)words;
	PQconsumeInput(session->conn);
	while ((notify = PQnotifies(session->conn))) {
		print_labelled(notify->relname, notify->extra);
		PQfreemem(notify);
	}
}

const struct command statement_commands[] = {
    {"exec", do_exec, NULL, 2, 0},                   /* NAME SQL */
    {"jump", do_jump, NULL, 3, 0},                   /* NAME MILLISECONDS SQL */
    {"params", do_params, NULL, 3, 1},               /* NAME VALUE,VALUE... SQL */
    {"prepare", do_prepare, NULL, 3, 0},             /* NAME STATEMENT SQL */
    {"prepare_typed", do_prepare_typed, NULL, 4, 0}, /* NAME STATEMENT OID,OID... SQL */
    {"execute", do_execute, NULL, 3, 2},             /* NAME STATEMENT VALUE,VALUE... */
    {"describe", do_describe, NULL, 2, 0},           /* NAME STATEMENT */
    {"send", do_send, NULL, 2, 0},                   /* NAME SQL */
    {"single_row", do_single_row, NULL, 1, 0},       /* NAME */
    {"result", do_result, NULL, 1, 0},               /* NAME */
    {"results", do_results, NULL, 1, 0},             /* NAME */
    {"copy_in", do_copy_in, NULL, 2, 0},             /* NAME SQL, then lines up to "\." */
    {"put", do_put, NULL, 2, 0},                     /* NAME DATA */
    {"put_end", do_put_end, NULL, 1, 0},             /* NAME */
    {"get", do_get, NULL, 1, 0},                     /* NAME */
    {"notifies", do_notifies, NULL, 1, 0},           /* NAME */
    {0},
};
