/* Running the program, and where its traces go meanwhile. See launch.c. */
#ifndef LAUNCH_H
#define LAUNCH_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* Where the run leaves its traces. */
struct trace_folder {
	char path[PATH_MAX];
	bool temporary;   /* ours to remove */
	int64_t began_ms; /* older traces in it are of other runs */
};

/*
 * The folder that PQLEASH_TRACE names, or a new one, and PQLEASH_TRACE set to it. Gives up with a
 * line where there is none to be had.
 */
void trace_folder_make(struct trace_folder *folder);
void trace_folder_remove(const struct trace_folder *folder);

/*
 * Run the program and wait for it. Returns the exit status that a shell would report: 128 and the
 * signal where it was killed. Where it cannot be run *ran is false, and the status, after a line, is
 * 126 or 127. SIGTERM and SIGHUP are
 * passed on to it; SIGINT and SIGQUIT, which a terminal sends to both, are left to it.
 */
int launch(char **program, bool *ran);

#endif
