/*
 * Workloads that start another program, which has nothing to do with libpq.
 */
#include "bench.h"

#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

static char preload[4096] = "LD_PRELOAD=";
static char on[] = "PQLEASH=1";
static char *environment[] = {preload, on, NULL};

static void set_up(char **arguments)
{
	snprintf(preload, sizeof preload, "LD_PRELOAD=%s", arguments[0]);
}

static void spawn(long times)
{
	static char path[] = "/bin/true";
	char *arguments[] = {path, NULL};
	int status;
	pid_t child;

	while (times-- > 0) {
		if (posix_spawn(&child, path, NULL, NULL, arguments, environment) != 0)
			bench_die("cannot start %s", path);
		if (waitpid(child, &status, 0) != child || status != 0)
			bench_die("%s failed", path);
	}
}

const struct workload process_workloads[] = {
    {"spawn", "OBJECT", 1, set_up, spawn},
    {.name = NULL},
};
