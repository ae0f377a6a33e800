/*
 * The trace. Owns the file: made at the first event, for its owner alone; one write(2) a line, so
 * that a process that is killed loses nothing. The program may close descriptors that it does not
 * know, and give the number to another file: each write looks first. What cannot be written is
 * counted, told once on stderr, and told in the trace as soon as that can be written again.
 */
#include "trace.h"
#include "backend.h"
#include "lock.h"
#include "process.h"
#include "say.h"
#include "session.h"
#include "settings.h"
#include "stack.h"
#include "suite.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

/* Its descriptor stands out of the program's way, which expects small numbers. */
#define DESCRIPTOR_FROM 1000

static struct {
	pid_t owner; /* 0 before there is one; another process's after a fork */
	int descriptor;
	bool refused; /* it cannot be made: said once, and no more tried */
	bool torn;    /* the last line was written in part */
	bool said;
	struct statx identity;
	unsigned long lost;
	char *path;
} file = {.descriptor = -1};

static unsigned long last_session; /* its number */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- Lines ---- */

static void add_name(struct text *line, const char *name)
{
	text_add_string(line, ",\"");
	text_add_string(line, name);
	text_add_string(line, "\":");
}

static bool is_escaped(char byte)
{
	return (unsigned char)byte < ' ' || byte == '"' || byte == '\\' || byte == 0x7f;
}

void trace_add(struct text *line, const char *name, const char *value)
{
	if (!value)
		return;
	add_name(line, name);
	text_add_byte(line, '"');
	for (;;) {
		size_t plain = 0;

		while (value[plain] && !is_escaped(value[plain]))
			plain++;
		text_add_bytes(line, value, plain);
		value += plain;
		if (!*value)
			break;
		text_add(line, "\\u%04x", *value++);
	}
	text_add_byte(line, '"');
}

static void add_number(struct text *line, const char *name, int64_t value)
{
	add_name(line, name);
	text_add_number(line, value);
}

struct text trace_line(enum trace_event event)
{
	static const char *const names[] = {PQLEASH_TRACE_EVENTS(PQLEASH_TRACE_NAME)};
	struct text line = {0};

	text_add_string(&line, "{\"event\":\"");
	text_add_string(&line, names[event]);
	text_add_byte(&line, '"');
	add_number(&line, "ms", now_ms());
	return line;
}

/* ---- The file ---- */

static void refuse(const char *what, const char *why)
{
	bool is_long = strlen(what) > 200;

	say("no trace: %.200s%s: %s", what, is_long ? "..." : "", why);
	file.refused = true;
}

/* The folder, made if need be; -1 where it is no place for what only we should read and write. */
static int open_folder(void)
{
	char path[PATH_MAX];
	struct stat folder;

	if (!pqleash_trace_folder(settings()->trace, path, sizeof path)) {
		refuse(settings()->trace, strerror(ENAMETOOLONG));
		return -1;
	}
	if (mkdir(path, 0700) != 0 && errno != EEXIST) {
		refuse(settings()->trace, strerror(errno));
		return -1;
	}
	int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (descriptor < 0) {
		refuse(settings()->trace, errno == ELOOP ? "is a symbolic link" : strerror(errno));
		return -1;
	}
	if (fstat(descriptor, &folder) == 0 && folder.st_uid == geteuid() &&
	    !(folder.st_mode & (S_IWGRP | S_IWOTH)))
		return descriptor;
	refuse(settings()->trace, "must be a folder of our own that nobody else may write to");
	close(descriptor);
	return -1;
}

/* PROGRAM.PID.MILLISECONDS.jsonl: the program as its file is named, as far as that is harmless. */
static void name_file(char *name, size_t size)
{
	char program[64];

	snprintf(program, sizeof program, "%s", program_invocation_short_name);
	for (char *at = program; *at; at++)
		if ((unsigned char)*at <= ' ' || *at == '/' || *at == 0x7f)
			*at = '_';
	snprintf(name, size, "%s.%d.%lld" PQLEASH_TRACE_SUFFIX, program, (int)process_id(),
	    (long long)now_ms());
}

/* Out of the way, where the limit of open files allows it. */
static int move_up(int descriptor)
{
	struct rlimit limit;
	int from = DESCRIPTOR_FROM;

	if (descriptor < 0)
		return -1;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur <= DESCRIPTOR_FROM)
		from = (int)limit.rlim_cur - 1;
	int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, from);
	if (moved < 0)
		return descriptor;
	close(descriptor);
	return moved;
}

/*
 * What tells it from other files, and no more: since Linux 6.13 who asks for the times of a file makes
 * the next write note its time to the nanosecond, which costs half as much again.
 */
static bool identify(int descriptor, struct statx *identity)
{
	struct stat status;

	if (statx(descriptor, "", AT_EMPTY_PATH, STATX_INO, identity) == 0)
		return true;
	/* Some containers forbid that. */
	if (fstat(descriptor, &status) != 0)
		return false;
	identity->stx_ino = status.st_ino;
	identity->stx_dev_major = major(status.st_dev);
	identity->stx_dev_minor = minor(status.st_dev);
	return true;
}

static bool is_the_file(int descriptor)
{
	struct statx found;

	return descriptor >= 0 && identify(descriptor, &found) &&
	       found.stx_ino == file.identity.stx_ino &&
	       found.stx_dev_major == file.identity.stx_dev_major &&
	       found.stx_dev_minor == file.identity.stx_dev_minor;
}

/* The first event of this process, or the first since a fork. */
static bool make_file(void)
{
	char name[128];
	int folder = open_folder();

	if (is_the_file(file.descriptor)) /* the parent's */
		close(file.descriptor);
	file.descriptor = -1;
	file.owner = process_id();
	file.torn = false;
	if (folder < 0)
		return false;
	name_file(name, sizeof name);
	file.descriptor = move_up(openat(
	    folder, name, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
	if (file.descriptor < 0 || !identify(file.descriptor, &file.identity))
		refuse(name, strerror(errno));
	close(folder);
	if (file.refused)
		return false;
	char *real = realpath(settings()->trace, NULL);
	free(file.path);
	if (!real || asprintf(&file.path, "%s/%s", real, name) < 0)
		file.path = NULL;
	free(real);
	return true;
}

/* The program has closed it: the number may be a stranger's by now, and is left alone. */
static bool open_again(void)
{
	int found =
	    file.path ? move_up(open(file.path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC)) : -1;

	if (found >= 0 && !is_the_file(found)) {
		close(found);
		found = -1;
	}
	file.descriptor = found;
	return found >= 0;
}

static bool write_all(const char *bytes, size_t length)
{
	ssize_t written;

	do
		written = write(file.descriptor, bytes, length);
	while (written < 0 && errno == EINTR);
	if (written == (ssize_t)length)
		return true;
	file.torn |= written > 0;
	if (written >= 0)
		errno = ENOSPC;
	return false;
}

static void write_lost(void)
{
	struct text line = trace_line(TRACE_LOST);

	add_number(&line, "lines", (int64_t)file.lost);
	text_add_string(&line, "}\n");
	if (line.bytes && write_all(line.bytes, line.length))
		file.lost = 0;
	text_free(&line);
}

static void write_line(const char *bytes, size_t length)
{
	if (file.torn && write_all("\n", 1))
		file.torn = false;
	if (!file.torn && file.lost > 0)
		write_lost();
	if (!file.torn && file.lost == 0 && write_all(bytes, length))
		return;
	file.lost++;
	if (!file.said)
		say("the trace is not complete: %s: %s", file.path ? file.path : "its file",
		    strerror(errno));
	file.said = true;
}

static bool is_interpreter(void)
{
	static const char *const names[] = {
	    "python", "perl", "ruby", "php", "lua", "tclsh", "node"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strncmp(program_invocation_short_name, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/*
 * The script that an interpreter runs: the first argument that is a file. Nothing else of the
 * arguments is told: there may be a password in them.
 */
static void add_script(struct text *line)
{
	char arguments[4096];
	struct stat found;
	int descriptor = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t length = descriptor >= 0 ? read(descriptor, arguments, sizeof arguments - 1) : 0;

	if (descriptor >= 0)
		close(descriptor);
	arguments[length > 0 ? length : 0] = '\0';
	for (char *at = arguments + strlen(arguments) + 1; at < arguments + length;
	     at += strlen(at) + 1)
		if (*at != '-' && stat(at, &found) == 0 && S_ISREG(found.st_mode)) {
			trace_add(line, "script", at);
			return;
		}
}

static void write_start(void)
{
	struct text line = trace_line(TRACE_START);

	add_number(&line, "version", PQLEASH_TRACE_VERSION);
	add_number(&line, "pid", process_id());
	add_number(&line, "parent", getppid());
	trace_add(&line, "program", program_invocation_name);
	if (is_interpreter())
		add_script(&line);
	add_number(&line, "limit", settings()->limit);
	add_number(&line, "pool_timeout_ms", settings()->pool_timeout_ms);
	text_add_string(&line, "}\n");
	if (line.bytes)
		write_line(line.bytes, line.length);
	text_free(&line);
}

/* The one place that writes. */
void trace_put(struct text *line)
{
	int saved_errno = errno;

	text_add_string(line, "}\n");
	lock_take(LOCK_TRACE);
	bool first = file.owner != process_id() && !file.refused;
	if (first && make_file())
		write_start();
	if (!file.refused) {
		if (line->bytes && (is_the_file(file.descriptor) || open_again()))
			write_line(line->bytes, line->length);
		else
			file.lost++;
	}
	lock_release(LOCK_TRACE);
	text_free(line);
	errno = saved_errno;
}

void trace_forget_inherited(void)
{
	file.refused = false;
	last_session = 0;
	stack_forget_all();
}

static bool is_on(void)
{
	if (!settings()->on || !settings()->trace)
		return false;
	process_notice_fork();
	return !file.refused;
}

/* ---- Events ---- */

static void add_whose(struct text *line)
{
	struct whose whose = suite_whose();

	trace_add(line, "suite", whose.suite);
	trace_add(line, "test", whose.test);
	trace_add(line, "source", whose.source);
}

static void add_where(struct text *line, unsigned long stack)
{
	if (stack > 0)
		add_number(line, "stack", (int64_t)stack);
	add_whose(line);
}

/* An event of a session that this process has told of, with where and by whom. */
static struct text line_of(enum trace_event event, const struct session *session, bool where)
{
	/* It may have a line of its own, which comes first. */
	unsigned long stack = where ? stack_now() : 0;
	struct text line = trace_line(event);

	if (session->number > 0)
		add_number(&line, "session", (int64_t)session->number);
	if (where)
		add_where(&line, stack);
	return line;
}

/* Not one that a parent process has opened. */
static bool is_told(const struct session *session)
{
	return is_on() && session->told && session->teller == process_id();
}

/* Where somebody named a database like a URL, a password may stand in it. */
static void add_target(struct text *line, const struct target *target)
{
	char label[256];

	if (!target || !target->label)
		return;
	size_t length = strnlen(target->label, sizeof label - 1);
	memcpy(label, target->label, length);
	label[length] = '\0';
	char *url = strstr(label, "://"), *password = strstr(label, "password");
	if (url)
		url[3] = '\0';
	if (password)
		password[0] = '\0';
	trace_add(line, "target", label);
}

void trace_open(struct session *session, const struct backend *backend)
{
	if (session->number > 0 || !is_on())
		return;
	session->number = __atomic_add_fetch(&last_session, 1, __ATOMIC_RELAXED);
	session->told = true;
	session->teller = process_id();
	struct text line = line_of(TRACE_OPEN, session, true);
	add_target(&line, session->target);
	session->told_backend = backend && !session->backend ? backend->number : 0;
	if (backend)
		add_number(&line, "backend", (int64_t)backend->number);
	if (session->state == SESSION_FAILED)
		text_add(&line, ",\"failed\":true");
	trace_put(&line);
}

static void simple(enum trace_event event, const struct session *session)
{
	if (!is_told(session))
		return;
	struct text line = line_of(event, session, false);
	trace_put(&line);
}

void trace_attach(struct session *session)
{
	bool known = session->told_backend == session->backend->number;

	session->told_backend = 0;
	if (known || !is_told(session))
		return;
	struct text line = line_of(TRACE_ATTACH, session, false);
	add_number(&line, "backend", (int64_t)session->backend->number);
	trace_put(&line);
}

void trace_detach(const struct session *session)
{
	simple(TRACE_DETACH, session);
}

void trace_failed(const struct session *session)
{
	simple(TRACE_FAILED, session);
}

void trace_transaction(const struct session *session)
{
	simple(TRACE_TRANSACTION, session);
}

static void misuse(enum trace_event event, const struct session *session)
{
	if (!is_on() || session->teller != process_id())
		return;
	struct text line = line_of(event, session, true);
	trace_put(&line);
}

void trace_finish(const struct session *session)
{
	misuse(TRACE_FINISH, session);
}

void trace_used_after_finish(struct session *session)
{
	misuse(TRACE_USED_AFTER_FINISH, session);
	session->told = session->teller == process_id() && session->number > 0;
}

/* Its number would be the parent's. */
void trace_premature_finish(const struct session *session)
{
	if (!is_on())
		return;
	unsigned long stack = stack_now();
	struct text line = trace_line(TRACE_PREMATURE_FINISH);
	add_number(&line, "owner", session->owner);
	add_where(&line, stack);
	trace_put(&line);
}

void trace_finished_twice(const struct session *session)
{
	misuse(TRACE_FINISHED_TWICE, session);
}

void trace_exhausted(const struct session *session, struct session *const *holders, size_t count)
{
	if (!is_on())
		return;
	struct text line = line_of(TRACE_EXHAUSTED, session, true);
	add_target(&line, session->target);
	text_add(&line, ",\"holders\":[");
	for (size_t i = 0; i < count; i++)
		text_add(&line, "%s%lu", i ? "," : "", holders[i]->number);
	text_add_byte(&line, ']');
	trace_put(&line);
}

void trace_reclaimed(const struct session *session, const char *kept)
{
	if (!is_told(session))
		return;
	struct text line = line_of(TRACE_RECLAIMED, session, false);
	trace_add(&line, "kept", kept);
	trace_put(&line);
}

void trace_backend(bool opened)
{
	if (!is_on())
		return;
	struct text line = trace_line(opened ? TRACE_CONNECTED : TRACE_CLOSED);
	trace_put(&line);
}

void trace_suite(const char *suite, bool begins)
{
	if (!is_on())
		return;
	struct text line = trace_line(begins ? TRACE_SUITE_BEGIN : TRACE_SUITE_END);
	trace_add(&line, "suite", suite);
	trace_put(&line);
}

void trace_exit(void)
{
	/* Most programs that we are loaded into have no trace: nothing is looked up for them. */
	if (file.owner == 0 || file.owner != process_id())
		return;
	struct text line = trace_line(TRACE_EXIT);
	trace_put(&line);
}
