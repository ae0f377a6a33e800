/*
 * Runs the program as a child, so that there is somebody to report when it has ended. Owns the
 * signals of that time, the exit status, and the temporary folder of the traces.
 */
#include "launch.h"
#include "complain.h"
#include "pqleash_trace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- The folder ---- */

static void make_temporary(struct trace_folder *folder)
{
	const char *root = getenv("TMPDIR");

	snprintf(
	    folder->path, sizeof folder->path, "%s/pqleash.XXXXXX", root && *root ? root : "/tmp");
	if (!mkdtemp(folder->path))
		refuse("cannot make a folder for the trace: %s: %s", folder->path, strerror(errno));
	folder->temporary = true;
}

void trace_folder_make(struct trace_folder *folder)
{
	const char *wanted = getenv("PQLEASH_TRACE");
	char path[PATH_MAX];
	struct stat found;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	folder->began_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	folder->temporary = false;
	if (!wanted || !*wanted)
		make_temporary(folder);
	else if ((mkdir(wanted, 0700) != 0 && errno != EEXIST) || !realpath(wanted, folder->path))
		refuse("cannot make the folder \"%s\": %s", show(wanted).text, strerror(errno));
	/* The object refuses one, and would not see it any more. */
	else if (!pqleash_trace_folder(wanted, path, sizeof path) || lstat(path, &found) != 0 ||
		 S_ISLNK(found.st_mode))
		refuse("no trace: \"%s\" is a symbolic link", show(wanted).text);
	/* Programs change their folder. */
	if (setenv("PQLEASH_TRACE", folder->path, 1) != 0)
		refuse("no memory for PQLEASH_TRACE");
}

void trace_folder_remove(const struct trace_folder *folder)
{
	DIR *entries = folder->temporary ? opendir(folder->path) : NULL;
	const struct dirent *entry;

	if (!entries)
		return;
	while ((entry = readdir(entries)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			unlinkat(dirfd(entries), entry->d_name, 0);
	closedir(entries);
	rmdir(folder->path);
}

/* ---- The program ---- */

static volatile pid_t child;

static void pass_on(int signal_number)
{
	if (child > 0)
		kill(child, signal_number);
}

/* What the program shall find as we found it. SIGCHLD: ignored, nothing could be waited for. */
static const int signals[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGCHLD};
#define SIGNALS (sizeof signals / sizeof *signals)

static void take_signals(struct sigaction *before)
{
	for (size_t i = 0; i < SIGNALS; i++) {
		bool ours = signals[i] == SIGTERM || signals[i] == SIGHUP;
		bool is_child = signals[i] == SIGCHLD;
		struct sigaction action = {.sa_flags = SA_RESTART};

		action.sa_handler = is_child ? SIG_DFL : ours ? pass_on : SIG_IGN;
		sigaction(signals[i], NULL, &before[i]);
		if (is_child || before[i].sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
}

static void give_back_signals(const struct sigaction *before)
{
	for (size_t i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &before[i], NULL);
}

static int complain_of(const char *program, int reason)
{
	/* A script is there, but the interpreter it names is not. */
	if (reason == ENOENT && strchr(program, '/') && access(program, F_OK) == 0) {
		complain("cannot run \"%s\": its interpreter is missing", show(program).text);
		return STATUS_CANNOT_RUN;
	}
	complain("cannot run \"%s\": %s", show(program).text, strerror(reason));
	return reason == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
}

/* Signals come when there is a child to pass them on to. */
static void hold_signals(sigset_t *before)
{
	sigset_t held;

	sigemptyset(&held);
	for (size_t i = 0; i < SIGNALS; i++)
		sigaddset(&held, signals[i]);
	sigprocmask(SIG_BLOCK, &held, before);
}

/* In the child; the reason goes to the parent, which has the better words for it. */
static _Noreturn void become(char **program, int tell)
{
	execvp(program[0], program);
	int reason = errno;
	ssize_t told = write(tell, &reason, sizeof reason);
	_exit(told == sizeof reason ? STATUS_CANNOT_RUN : STATUS_REFUSED);
}

static int wait_for_child(void)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			refuse("cannot wait for the program: %s", strerror(errno));
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int launch(char **program, bool *ran)
{
	struct sigaction before[SIGNALS];
	sigset_t mask;
	int ends[2], reason;

	if (pipe2(ends, O_CLOEXEC) != 0)
		refuse("cannot run \"%s\": %s", show(program[0]).text, strerror(errno));
	fflush(NULL);
	hold_signals(&mask);
	take_signals(before);
	child = fork();
	if (child == 0) {
		give_back_signals(before);
		sigprocmask(SIG_SETMASK, &mask, NULL);
		become(program, ends[1]);
	}
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (child < 0)
		refuse("cannot run \"%s\": %s", show(program[0]).text, strerror(errno));
	close(ends[1]);
	*ran = read(ends[0], &reason, sizeof reason) != sizeof reason;
	close(ends[0]);
	int status = wait_for_child();
	give_back_signals(before);
	return *ran ? status : complain_of(program[0], reason);
}
