/*
 * Not linked with libpq: opens one, looks its functions up and leaks connections, as drivers and
 * language bindings do.
 *
 * usage: dlopens local|global|default NUMBER
 *   local    in an object opened RTLD_LOCAL
 *   global   in an object opened RTLD_GLOBAL
 *   default  in the whole program (RTLD_DEFAULT), after that
 */
#include <dlfcn.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *look_up(void *handle, const char *name)
{
	void *found = dlsym(handle, name);

	if (!found) {
		printf("%s\n", dlerror());
		exit(1);
	}
	return found;
}

static void *open_libpq(const char *how)
{
	int scope = strcmp(how, "local") == 0 ? RTLD_LOCAL : RTLD_GLOBAL;
	void *handle = dlopen("libpq.so.5", RTLD_NOW | scope);

	if (!handle) {
		printf("%s\n", dlerror());
		exit(1);
	}
	return strcmp(how, "default") == 0 ? RTLD_DEFAULT : handle;
}

static const char *file_of(void *address)
{
	Dl_info info;

	if (!dladdr(address, &info))
		return "nowhere";
	return strrchr(info.dli_fname, '/') + 1;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	void *libpq = open_libpq(argv[1]);
	PGconn *(*connect)(const char *) = look_up(libpq, "PQconnectdb");
	PGresult *(*execute)(PGconn *, const char *) = look_up(libpq, "PQexec");
	ExecStatusType (*status)(const PGresult *) = look_up(libpq, "PQresultStatus");
	void (*clear)(PGresult *) = look_up(libpq, "PQclear");
	int answered = 0;

	for (int i = 0; i < atoi(argv[2]); i++) {
		PGresult *result = execute(connect(""), "SELECT 1");

		answered += status(result) == PGRES_TUPLES_OK;
		clear(result);
	}
	printf("PQconnectdb is in %s\n", file_of((void *)connect));
	printf("%d answered\n", answered);
	return 0;
}
