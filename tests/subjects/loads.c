/*
 * A program without libpq that loads and looks up what it is told, and prints what it finds.
 *
 * usage: loads COMMAND...
 *   open PATH         a plugin (subjects/plugins/plugin.c), RTLD_LOCAL
 *   leak PATH NUMBER  call its leak()
 *   check PATH        call its still_there()
 *   close PATH
 *   find WHERE NAME   whether dlsym finds a name, and dlerror before and after;
 *                     WHERE is default, program, or the path of something open
 *   version WHERE NAME VERSION   the same with dlvsym
 *   leak-by WHERE NUMBER         leak connections by functions that dlsym finds there
 *   fsync             what fsync of a pipe returns
 */
#include <dlfcn.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *open_local(const char *path, int how)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | how);

	if (!handle) {
		printf("%s\n", dlerror());
		exit(1);
	}
	return handle;
}

/* The handle of something that is open and stays so. */
static void *opened(const char *path)
{
	void *handle = open_local(path, RTLD_NOLOAD);

	dlclose(handle);
	return handle;
}

static void *handle_of(const char *where)
{
	if (strcmp(where, "default") == 0)
		return RTLD_DEFAULT;
	if (strcmp(where, "program") == 0)
		return dlopen(NULL, RTLD_LAZY);
	return opened(where);
}

static int call_plugin(const char *path, const char *name, int argument)
{
	int (*function)(int) = dlsym(opened(path), name);

	if (!function) {
		printf("%s\n", dlerror());
		exit(1);
	}
	return function(argument);
}

/* Only whether there is a message: it names the object that was asked, which may be another
 * preload. */
static void tell(const char *name, const void *found)
{
	const char *message = dlerror();

	printf("%s %s, dlerror %s, then %s\n", name, found ? "found" : "not found",
	    message ? "speaks" : "is silent", dlerror() ? "speaks" : "is silent");
}

static void *look_up(const char *where, const char *name, const char *version)
{
	void *handle = handle_of(where);

	return version ? dlvsym(handle, name, version) : dlsym(handle, name);
}

static int leak_by(const char *where, int number)
{
	PGconn *(*connect)(const char *) = look_up(where, "PQconnectdb", NULL);
	PGresult *(*execute)(PGconn *, const char *) = look_up(where, "PQexec", NULL);
	ExecStatusType (*status)(const PGresult *) = look_up(where, "PQresultStatus", NULL);
	int good = 0;

	if (!connect || !execute || !status || dlerror())
		return -1;
	for (int i = 0; i < number; i++)
		good += status(execute(connect(""), "SELECT 1")) == PGRES_TUPLES_OK;
	return good;
}

/* Fails, unless somebody makes nothing of it. */
static int sync_pipe(void)
{
	int ends[2];

	return pipe(ends) == 0 ? fsync(ends[1]) : -2;
}

/* Carries out the command that begins at words[0]; returns how many words it has. */
static int carry_out(char **words)
{
	const char *command = words[0];

	if (strcmp(command, "fsync") == 0) {
		printf("%d\n", sync_pipe());
		return 1;
	}
	if (!words[1])
		exit(2);
	if (strcmp(command, "open") == 0)
		open_local(words[1], 0);
	else if (strcmp(command, "close") == 0)
		dlclose(opened(words[1]));
	else if (strcmp(command, "check") == 0)
		printf("%d still there\n", call_plugin(words[1], "still_there", 0));
	else if (!words[2])
		exit(2);
	else if (strcmp(command, "leak") == 0) {
		printf("%d answered\n", call_plugin(words[1], "leak", atoi(words[2])));
		return 3;
	} else if (strcmp(command, "find") == 0) {
		tell(words[2], look_up(words[1], words[2], NULL));
		return 3;
	} else if (strcmp(command, "version") == 0 && words[3]) {
		tell(words[2], look_up(words[1], words[2], words[3]));
		return 4;
	} else if (strcmp(command, "leak-by") == 0) {
		printf("%d answered\n", leak_by(words[1], atoi(words[2])));
		return 3;
	} else
		exit(2);
	return 2;
}

int main(int argc, char **argv)
{
	setbuf(stdout, NULL);
	for (int i = 1; i < argc;)
		i += carry_out(&argv[i]);
	return 0;
}
