/*
 * Opens connections, each with a setting and a prepared statement of its own, makes a child in the
 * way that is asked for, lets it do what it is asked to do, and looks at every connection again.
 * Prints what both see, a line each.
 *
 * usage: children fork|double|raw|notice|vfork|spawn|system HABIT
 *
 * HABIT of the child:
 *   return exit _exit segv abort       how it ends, having done nothing
 *   finish                             finishes all connections
 *   handler                            the same, in an exit handler that its parent has registered
 *   reset                              resets and uses all connections, finishes half of them
 *   cancel                             the same for the last, and cancels; the parent has a
 *                                      statement running meanwhile
 *   open                               opens connections of its own, and leaves them
 *   first                              uses the last connection, before the parent uses the others
 *   last                               the same, afterwards
 *   outlive                            the same, when the parent has exited
 *   alone                              (not a child) opens, uses and leaves connections
 * With vfork, spawn and system the child is this program again: children alone.
 */
#include <libpq-fe.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECTIONS 4
#define LAST (CONNECTIONS - 1)
#define ROUNDS 10

extern char **environ;

static const char *program, *habit;
static PGconn *conns[CONNECTIONS];
static PGcancel *cancel;
static pid_t parent;
static int to_child[2], to_parent[2];

static bool habit_is(const char *name)
{
	return strcmp(habit, name) == 0;
}

static void run(PGconn *conn, const char *sql)
{
	PGresult *result = PQexec(conn, sql);

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		printf("%s: %s", sql, PQerrorMessage(conn));
	PQclear(result);
}

static void open_all(PGconn **made)
{
	char sql[128];

	for (int i = 0; i < CONNECTIONS; i++) {
		made[i] = PQconnectdb("");
		if (PQstatus(made[i]) != CONNECTION_OK)
			printf("connect: %s", PQerrorMessage(made[i]));
		snprintf(sql, sizeof sql, "SET application_name = 'number %d'", i);
		run(made[i], sql);
		snprintf(sql, sizeof sql,
		    "PREPARE mine AS SELECT 'number %d' = current_setting('application_name')", i);
		run(made[i], sql);
	}
}

static const char *look_at(PGconn *conn)
{
	static char what[512];
	PGresult *result = PQexecPrepared(conn, "mine", 0, NULL, NULL, NULL, 0);

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		snprintf(what, sizeof what, "%.500s", PQerrorMessage(conn));
	else
		snprintf(what, sizeof what, "%s\n",
		    strcmp(PQgetvalue(result, 0, 0), "t") == 0 ? "right" : "WRONG");
	PQclear(result);
	return what;
}

static void look_at_all(const char *who, PGconn **all)
{
	for (int i = 0; i < CONNECTIONS; i++)
		printf("%s %d: %s", who, i, look_at(all[i]));
}

static void finish_all(void)
{
	for (int i = 0; i < CONNECTIONS; i++)
		PQfinish(conns[i]);
}

static void finish_in_handler(void)
{
	if (getpid() != parent)
		finish_all();
}

static void tell(int *end)
{
	if (write(end[1], "x", 1) != 1)
		puts("nobody listens");
}

static void hear(int *end)
{
	char byte;

	if (read(end[0], &byte, 1) < 0)
		puts("nothing to hear");
}

/* Its own connections are as good as any. */
static void be_alone(void)
{
	PGconn *own[CONNECTIONS];

	open_all(own);
	look_at_all("child", own);
	fflush(stdout);
}

static void reset_all(void)
{
	for (int i = 0; i < CONNECTIONS; i++) {
		PQreset(conns[i]);
		PGresult *result = PQexec(conns[i], "SELECT 1");
		printf("child %d: %s\n", i,
		    PQresultStatus(result) == PGRES_TUPLES_OK ? "reset" : PQerrorMessage(conns[i]));
		PQclear(result);
		if (i % 2)
			PQfinish(conns[i]);
	}
}

/* What it has a cancel object of is no longer the parent's connection. */
static void reset_and_cancel(void)
{
	char error[256];

	hear(to_child);
	PQreset(conns[LAST]);
	printf(
	    "child %d: cancel %s\n", LAST, PQcancel(cancel, error, sizeof error) ? "sent" : error);
	fflush(stdout);
}

static void use_first(void)
{
	const char *seen = "right\n";

	if (!habit_is("first"))
		hear(to_child);
	for (int i = 0; i < ROUNDS && strcmp(seen, "right\n") == 0; i++) {
		seen = look_at(conns[LAST]);
		if (i == 0 && habit_is("first"))
			tell(to_parent);
	}
	printf("child %d: %s", LAST, seen);
	fflush(stdout);
}

/* Returns when the child's function is to return. */
static void be_child(void)
{
	signal(SIGSEGV, SIG_DFL);
	if (habit_is("exit"))
		exit(0);
	if (habit_is("_exit"))
		_exit(0);
	if (habit_is("segv"))
		raise(SIGSEGV);
	if (habit_is("abort"))
		abort();
	if (habit_is("finish"))
		finish_all();
	if (habit_is("reset"))
		reset_all();
	if (habit_is("cancel"))
		reset_and_cancel();
	if (habit_is("open"))
		be_alone();
	if (habit_is("first") || habit_is("last") || habit_is("outlive"))
		use_first();
}

static pid_t run_self(void)
{
	char *arguments[] = {(char *)program, "alone", NULL};
	pid_t child = -1;

	posix_spawn(&child, program, NULL, NULL, arguments, environ);
	return child;
}

static pid_t run_self_by_vfork(void)
{
	pid_t child = vfork();

	if (child == 0) {
		execl(program, program, "alone", (char *)NULL);
		_exit(1);
	}
	return child;
}

static pid_t forked_in_notice = -1;

static void fork_in_notice(void *unused, const PGresult *notice)
{
	(void)unused;
	(void)notice;
	forked_in_notice = fork();
	if (forked_in_notice == 0) {
		be_child();
		fflush(stdout);
		/* Going back into libpq's call, in the middle of what is the parent's, would hang. */
		exit(0);
	}
}

/* Returns 0 in the child, unless that has its end behind it. */
static pid_t make_child(const char *way)
{
	if (strcmp(way, "raw") == 0)
		return (pid_t)syscall(SYS_fork);
	if (strcmp(way, "vfork") == 0)
		return run_self_by_vfork();
	if (strcmp(way, "spawn") == 0)
		return run_self();
	if (strcmp(way, "notice") == 0) {
		PQsetNoticeReceiver(conns[0], fork_in_notice, NULL);
		run(conns[0], "DO $$ BEGIN RAISE NOTICE 'now'; END $$");
		return forked_in_notice;
	}
	pid_t child = fork();
	if (child != 0 || strcmp(way, "double") != 0)
		return child;
	if (fork() != 0)
		exit(0);
	return 0;
}

/* A daemon is nobody's to wait for: the end of what it writes to is. */
static void wait_for(pid_t child)
{
	int status = 0;

	close(to_parent[1]);
	waitpid(child, &status, 0);
	hear(to_parent);
	if (WIFSIGNALED(status))
		printf("child: signal %d\n", WTERMSIG(status));
}

static void be_parent(pid_t child)
{
	PGresult *result;

	if (habit_is("first"))
		hear(to_parent);
	if (habit_is("first") || habit_is("last"))
		for (int round = 0; round < ROUNDS; round++)
			for (int i = 0; i < LAST; i++)
				if (strcmp(look_at(conns[i]), "right\n") != 0)
					printf("parent %d: %s", i, look_at(conns[i]));
	if (habit_is("cancel"))
		PQsendQuery(conns[LAST], "SELECT pg_sleep(1)");
	if (habit_is("last") || habit_is("cancel"))
		tell(to_child);
	wait_for(child);
	while (habit_is("cancel") && (result = PQgetResult(conns[LAST]))) {
		printf("parent %d: %s\n", LAST,
		    PQresultStatus(result) == PGRES_TUPLES_OK ? "not cancelled"
							      : PQerrorMessage(conns[LAST]));
		PQclear(result);
	}
	look_at_all("parent", conns);
	finish_all();
}

int main(int argc, char **argv)
{
	program = argv[0];
	if (argc == 2 && strcmp(argv[1], "alone") == 0) {
		be_alone();
		return 0;
	}
	if (argc != 3)
		return 2;
	habit = argv[2];
	parent = getpid();
	if (habit_is("handler"))
		atexit(finish_in_handler);
	if (pipe(to_child) != 0 || pipe(to_parent) != 0)
		return 2;
	open_all(conns);
	if (habit_is("cancel"))
		cancel = PQgetCancel(conns[LAST]);
	fflush(stdout);
	if (strcmp(argv[1], "system") == 0) {
		char command[4096];

		snprintf(command, sizeof command, "%s alone", program);
		printf("system: %d\n", system(command));
		look_at_all("parent", conns);
		finish_all();
		return 0;
	}
	pid_t child = make_child(argv[1]);
	if (child == 0) {
		close(to_child[1]);
		close(to_parent[0]);
		be_child();
		return 0;
	}
	if (habit_is("outlive"))
		exit(0);
	be_parent(child);
	return 0;
}
