/*
 * For unit tests of what happens once in a process, or is said on stderr: runs a function in a
 * process of its own and tells what it said. What the function finds out it leaves in memory from
 * apart_share.
 */
#ifndef APART_H
#define APART_H

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* Zeroed memory that a process run apart shares with this one; kept for ever. */
static inline void *apart_share(size_t size)
{
	void *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return shared == MAP_FAILED ? abort(), NULL : shared;
}

/* What the function says on stderr, until the next call; NULL when it does not end well. */
static inline const char *apart(void (*function)(void *), void *argument)
{
	static char said[16384];
	int pipe_ends[2], status = 0;
	size_t length = 0;
	ssize_t got;

	if (pipe(pipe_ends) != 0)
		return NULL;
	pid_t child = fork();
	if (child == 0) {
		dup2(pipe_ends[1], STDERR_FILENO);
		close(pipe_ends[0]);
		close(pipe_ends[1]);
		function(argument);
		_exit(0);
	}
	close(pipe_ends[1]);
	while (length < sizeof said - 1 &&
	       (got = read(pipe_ends[0], said + length, sizeof said - 1 - length)) > 0)
		length += (size_t)got;
	said[length] = '\0';
	close(pipe_ends[0]);
	if (child < 0 || waitpid(child, &status, 0) != child)
		return NULL;
	return status == 0 ? said : NULL;
}

#endif
