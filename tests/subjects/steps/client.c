/* What libpq itself says of a connection, and what a program may set in it. */
#include "steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void do_info(struct named *session, char **words)
{
	const PGconn *conn = session->conn;

	(void)words;
	print_labelled("db", PQdb(conn));
	print_labelled("user", PQuser(conn));
	print_labelled("host", PQhost(conn));
	print_labelled("port", PQport(conn));
	print_labelled("options", PQoptions(conn));
	printf(" server=%d protocol=%d encoding=%d", PQserverVersion(conn), PQprotocolVersion(conn),
	    PQclientEncoding(conn));
}

static void ask_kept(const PGconn *conn, const char **kept)
{
	const char *now[KEPT] = {PQdb(conn), PQuser(conn), PQpass(conn), PQhost(conn), PQport(conn),
	    PQoptions(conn), PQparameterStatus(conn, "server_version"),
	    PQparameterStatus(conn, "server_encoding"),
	    PQparameterStatus(conn, "integer_datetimes")};

	memcpy(kept, now, sizeof now);
}

static void do_keep(struct named *session, char **words)
{
	(void)words;
	ask_kept(session->conn, session->kept);
	for (int i = 0; i < KEPT; i++) {
		free(session->copies[i]);
		session->copies[i] = session->kept[i] ? strdup(session->kept[i]) : NULL;
	}
	printf("kept");
}

/* The old pointers are read before anything is asked of the connection. */
static void do_kept(struct named *session, char **words)
{
	const char *now[KEPT];
	int same_text = 1;

	(void)words;
	for (int i = 0; i < KEPT; i++)
		if (session->kept[i] && strcmp(session->kept[i], session->copies[i]) != 0)
			same_text = 0;
	ask_kept(session->conn, now);
	printf("%s, %s", same_text ? "same text" : "other text",
	    memcmp(now, session->kept, sizeof now) == 0 ? "same pointers" : "other pointers");
}

static void do_parameter(struct named *session, char **words)
{
	print_labelled(words[1], PQparameterStatus(session->conn, words[1]));
}

static void do_pid(struct named *session, char **words)
{
	(void)words;
	printf(PQbackendPID(session->conn) ? "pid" : "no pid");
}

static void do_socket(struct named *session, char **words)
{
	int now = PQsocket(session->conn);
	struct stat file;

	(void)words;
	if (session->socket < 0)
		session->socket = now;
	printf("%s number, %s", now == session->socket ? "the same" : "another",
	    now >= 0 && fstat(now, &file) == 0 && S_ISSOCK(file.st_mode) ? "a socket"
									 : "no socket");
}

static void do_encoding(struct named *session, char **words)
{
	printf("%d ", PQsetClientEncoding(session->conn, words[1]));
}

static void do_escape(struct named *session, char **words)
{
	char *literal = PQescapeLiteral(session->conn, words[1], strlen(words[1]));

	print_text(literal ? literal : PQerrorMessage(session->conn));
	PQfreemem(literal);
}

static void do_verbosity(struct named *session, char **words)
{
	printf("was %d", PQsetErrorVerbosity(session->conn, (PGVerbosity)atoi(words[1])));
}

static void do_context(struct named *session, char **words)
{
	printf("was %d",
	    PQsetErrorContextVisibility(session->conn, (PGContextVisibility)atoi(words[1])));
}

static void print_notice(void *session, const PGresult *notice)
{
	printf("[notice for %s: ", ((struct named *)session)->name);
	print_text(PQresultErrorMessage(notice));
	printf("] ");
}

static void do_notices(struct named *session, char **words)
{
	PQnoticeReceiver old;

	if (strcmp(words[1], "on") == 0) {
		old = PQsetNoticeReceiver(session->conn, print_notice, session);
		if (old != print_notice)
			session->quiet = old;
	} else
		old = PQsetNoticeReceiver(session->conn, session->quiet, NULL);
	printf(old == print_notice ? "was on" : "was off");
}

static void do_nonblocking(struct named *session, char **words)
{
	int failed = PQsetnonblocking(session->conn, atoi(words[1]));

	printf("%d, is %d", failed, PQisnonblocking(session->conn));
}

static void do_is_nonblocking(struct named *session, char **words)
{
	(void)words;
	printf("is %d", PQisnonblocking(session->conn));
}

const struct command client_commands[] = {
    {"info", do_info, NULL, 1, 0},                     /* NAME */
    {"keep", do_keep, NULL, 1, 0},                     /* NAME */
    {"kept", do_kept, NULL, 1, 0},                     /* NAME */
    {"parameter", do_parameter, NULL, 2, 0},           /* NAME PARAMETER */
    {"pid", do_pid, NULL, 1, 0},                       /* NAME */
    {"socket", do_socket, NULL, 1, 0},                 /* NAME */
    {"encoding", do_encoding, NULL, 2, 0},             /* NAME ENCODING */
    {"escape", do_escape, NULL, 2, 0},                 /* NAME TEXT */
    {"verbosity", do_verbosity, NULL, 2, 0},           /* NAME 0|1|2|3 */
    {"context", do_context, NULL, 2, 0},               /* NAME 0|1|2 */
    {"notices", do_notices, NULL, 2, 0},               /* NAME on|off */
    {"nonblocking", do_nonblocking, NULL, 2, 0},       /* NAME 0|1 */
    {"is_nonblocking", do_is_nonblocking, NULL, 1, 0}, /* NAME */
    {0},
};
