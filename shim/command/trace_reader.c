/*
 * Reads traces: every line of every file in a folder, into a struct reading. Owns what the events
 * mean for a session's life. Trusts nothing: a file may be cut off, garbled, enormous or somebody
 * else's. A line that cannot be used is counted, and the rest is read all the same.
 */
#include "intern.h"
#include "pqleash_trace.h"
#include "reading.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGEST_FILE ((off_t)4 << 30)
#define LONGEST_LINE ((size_t)1 << 20)
#define LARGEST_GAP 10000 /* in the numbers of sessions, stacks or modules, where lines were lost */
#define MOST_FRAMES 4096

typedef struct json_object json;

/* A line on its way into the reading. */
struct line {
	json *object;
	const char *event;
	int64_t ms;
	struct process *process;
	struct reading *reading;
};

/* ---- Problems ---- */

void reading_problem(struct reading *reading, const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	for (char *at = text; *at; at++)
		if (iscntrl((unsigned char)*at))
			*at = '?';
	reading->problems =
	    grow(reading->problems, reading->problem_count, sizeof *reading->problems);
	reading->problems[reading->problem_count++] = intern(text);
}

/* ---- Fields ---- */

static json *field(const struct line *line, const char *name)
{
	json *value = NULL;

	json_object_object_get_ex(line->object, name, &value);
	return value;
}

static int64_t number(const struct line *line, const char *name)
{
	json *value = field(line, name);

	return json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : 0;
}

static const char *text(const struct line *line, const char *name)
{
	json *value = field(line, name);

	return json_object_is_type(value, json_type_string) ? intern(json_object_get_string(value))
							    : NULL;
}

static bool flag(const struct line *line, const char *name)
{
	json *value = field(line, name);

	return json_object_is_type(value, json_type_boolean) && json_object_get_boolean(value);
}

static struct raw_stack *stack_of(const struct line *line)
{
	int64_t wanted = number(line, "stack");

	if (wanted < 1 || (size_t)wanted > line->process->stack_count)
		return NULL;
	return line->process->stacks[wanted - 1];
}

/* ---- Modules and stacks ---- */

static void add_module(struct process *process, const char *path, const char *build_id)
{
	process->modules = grow(process->modules, process->module_count, sizeof *process->modules);
	process->modules[process->module_count++] =
	    (struct frame){.path = intern(path), .build_id = intern(build_id)};
}

static bool read_module(struct line *line)
{
	struct process *process = line->process;
	const char *path = text(line, "path"), *build_id = text(line, "build_id");

	int64_t which = number(line, "module");

	if (which <= (int64_t)process->module_count ||
	    which > (int64_t)process->module_count + LARGEST_GAP)
		return false;
	/* The lines of those in between were lost. */
	while ((int64_t)process->module_count < which - 1)
		add_module(process, "", "");
	add_module(process, path ? path : "", build_id ? build_id : "");
	return true;
}

static struct frame read_frame(const struct process *process, json *pair)
{
	json *module =
	    json_object_is_type(pair, json_type_array) ? json_object_array_get_idx(pair, 0) : NULL;
	json *offset = module ? json_object_array_get_idx(pair, 1) : NULL;
	int64_t which = json_object_get_int64(module);
	struct frame frame = {.path = intern(""), .build_id = intern("")};

	if (which >= 1 && (size_t)which <= process->module_count)
		frame = process->modules[which - 1];
	frame.offset = json_object_get_uint64(offset);
	return frame;
}

static void add_stack(struct line *line, struct raw_stack *stack)
{
	struct process *process = line->process;
	struct reading *reading = line->reading;

	process->stacks = grow(process->stacks, process->stack_count, sizeof(void *));
	process->stacks[process->stack_count++] = stack;
	if (!stack)
		return;
	reading->stacks = grow(reading->stacks, reading->stack_count, sizeof(void *));
	reading->stacks[reading->stack_count++] = stack;
}

static bool read_stack(struct line *line)
{
	struct process *process = line->process;
	json *frames = field(line, "frames");
	int64_t which = number(line, "stack");

	if (!json_object_is_type(frames, json_type_array) ||
	    which <= (int64_t)process->stack_count ||
	    which > (int64_t)process->stack_count + LARGEST_GAP)
		return false;
	size_t count = json_object_array_length(frames);
	if (count > MOST_FRAMES)
		return false;
	/* The lines of those in between were lost. */
	while ((int64_t)process->stack_count < which - 1)
		add_stack(line, NULL);
	struct raw_stack *stack = keep(sizeof *stack);
	stack->count = count;
	stack->frames = keep((count + 1) * sizeof *stack->frames);
	for (size_t i = 0; i < count; i++)
		stack->frames[i] = read_frame(process, json_object_array_get_idx(frames, i));
	add_stack(line, stack);
	return true;
}

/* ---- Sessions ---- */

/* NULL for a number that cannot be one of this process's sessions. */
static struct told *told_of(const struct line *line)
{
	int64_t which = number(line, "session");

	if (which < 1 || (size_t)which > line->process->session_count)
		return NULL;
	return line->reading->told[line->process->first_session + (size_t)which - 1];
}

static void change(struct line *line, int sessions, int backends)
{
	struct reading *reading = line->reading;

	reading->changes = grow(reading->changes, reading->change_count, sizeof *reading->changes);
	reading->changes[reading->change_count] = (struct change){.ms = line->ms,
	    .order = reading->change_count,
	    .sessions = sessions,
	    .backends = backends};
	reading->change_count++;
}

static struct incident *add_incident(
    struct line *line, enum finding_kind kind, struct told *told, struct raw_stack *where)
{
	struct reading *reading = line->reading;

	reading->incidents =
	    grow(reading->incidents, reading->incident_count, sizeof *reading->incidents);
	struct incident *incident = &reading->incidents[reading->incident_count++];
	*incident = (struct incident){.kind = kind,
	    .process = line->process,
	    .told = told,
	    .where = where,
	    .suite = text(line, "suite"),
	    .test = text(line, "test"),
	    .target = told ? told->target : text(line, "target")};
	return incident;
}

/* Of one that has a backend, or has none any more. */
static void set_attached(struct line *line, struct told *told, bool attached)
{
	if (told->attached == attached)
		return;
	told->attached = attached;
	if (attached) {
		told->spans = grow(told->spans, told->span_count, sizeof *told->spans);
		told->spans[told->span_count++].from_ms = line->ms;
	}
	told->spans[told->span_count - 1].to_ms = line->ms;
}

/* Opened numbers come in any order: threads number them before they write. */
static struct told *make_told(struct line *line, int64_t which)
{
	struct reading *reading = line->reading;
	struct process *process = line->process;

	if (which < 1 || which > (int64_t)process->session_count + LARGEST_GAP)
		return NULL;
	while (process->session_count < (size_t)which) {
		reading->told = grow(reading->told, reading->told_count, sizeof(void *));
		struct told *told = reading->told[reading->told_count++] = keep(sizeof *told);
		told->process = process;
		told->number = ++process->session_count;
	}
	return told_of(line);
}

static bool read_open(struct line *line)
{
	struct told *told = make_told(line, number(line, "session"));

	if (!told || told->known)
		return false;
	told->known = told->open = true;
	told->suite = text(line, "suite");
	told->test = text(line, "test");
	told->source = text(line, "source");
	told->target = text(line, "target");
	told->opened_at = stack_of(line);
	told->opened_ms = line->ms;
	told->failed = flag(line, "failed");
	if (number(line, "backend") > 0)
		set_attached(line, told, true);
	change(line, 1, 0);
	return true;
}

static bool read_finish(struct line *line, struct told *told)
{
	const char *suite = text(line, "suite"), *source = text(line, "source");

	if (!told->open)
		return false;
	set_attached(line, told, false);
	told->open = false;
	told->ended_ms = line->ms;
	change(line, -1, 0);
	/* Finished, used and finished again: one finding is enough. */
	if (told->finished)
		return true;
	told->finished = true;
	told->finished_at = stack_of(line);
	bool announced = told->source && strcmp(told->source, "api") == 0;
	bool elsewhere = announced ? line->process->announced != told->suite
				   : source && source == told->source && suite != told->suite;
	if (told->suite && elsewhere && !told->failed)
		add_incident(line, FINDING_OUTLIVED_SUITE, told, told->opened_at);
	return true;
}

static bool read_used(struct line *line, struct told *told)
{
	struct incident *incident =
	    add_incident(line, FINDING_USED_AFTER_FINISH, told, stack_of(line));

	incident->other = told->finished_at;
	if (!told->open)
		change(line, 1, 0);
	told->open = true;
	return true;
}

static bool read_finished_twice(struct line *line, struct told *told)
{
	struct incident *incident =
	    add_incident(line, FINDING_FINISHED_TWICE, told, stack_of(line));

	incident->other = told->finished_at;
	return true;
}

static bool read_transaction(struct line *line, struct told *told)
{
	add_incident(line, FINDING_TRANSACTION_LEFT_OPEN, told, told->opened_at);
	return true;
}

static bool read_reclaimed(struct line *line, struct told *told)
{
	struct incident *incident = add_incident(line, FINDING_RECLAIMED, told, told->opened_at);

	incident->kept = text(line, "kept");
	return true;
}

static bool read_failed(struct line *line, struct told *told)
{
	set_attached(line, told, false);
	told->failed = true;
	return true;
}

static bool read_attach(struct line *line, struct told *told)
{
	set_attached(line, told, true);
	told->failed = false;
	return true;
}

static bool read_detach(struct line *line, struct told *told)
{
	set_attached(line, told, false);
	return true;
}

/* ---- Everything else ---- */

static bool read_exhausted(struct line *line)
{
	struct incident *incident =
	    add_incident(line, FINDING_POOL_EXHAUSTED, told_of(line), stack_of(line));
	json *holders = field(line, "holders");
	size_t count =
	    json_object_is_type(holders, json_type_array) ? json_object_array_length(holders) : 0;

	incident->holders = keep((count + 1) * sizeof *incident->holders);
	for (size_t i = 0; i < count; i++)
		incident->holders[incident->holder_count++] =
		    json_object_get_uint64(json_object_array_get_idx(holders, i));
	return true;
}

static bool read_connected(struct line *line)
{
	change(line, 0, 1);
	return true;
}

static bool read_closed(struct line *line)
{
	change(line, 0, -1);
	return true;
}

static bool read_suite_begin(struct line *line)
{
	line->process->announced = text(line, "suite");
	return true;
}

static bool read_suite_end(struct line *line)
{
	line->process->announced = NULL;
	return true;
}

static bool read_exit(struct line *line)
{
	line->process->ended = true;
	return true;
}

static bool read_lost(struct line *line)
{
	reading_problem(line->reading, "%s (pid %d) could not write %lld events to its trace",
	    line->process->program, (int)line->process->pid, (long long)number(line, "lines"));
	return true;
}

/* The parent's connection goes on: nothing that a report would hold against anybody. */
static bool read_premature_finish(struct line *line)
{
	(void)line;
	return true;
}

struct reader {
	bool (*read)(struct line *line);
	bool (*read_told)(struct line *line, struct told *told); /* of a session that is known */
};

static const struct reader readers[TRACE_EVENTS] = {
    [TRACE_MODULE] = {read_module, NULL},
    [TRACE_STACK] = {read_stack, NULL},
    [TRACE_OPEN] = {read_open, NULL},
    [TRACE_FAILED] = {NULL, read_failed},
    [TRACE_ATTACH] = {NULL, read_attach},
    [TRACE_DETACH] = {NULL, read_detach},
    [TRACE_FINISH] = {NULL, read_finish},
    [TRACE_USED_AFTER_FINISH] = {NULL, read_used},
    [TRACE_FINISHED_TWICE] = {NULL, read_finished_twice},
    [TRACE_TRANSACTION] = {NULL, read_transaction},
    [TRACE_RECLAIMED] = {NULL, read_reclaimed},
    [TRACE_PREMATURE_FINISH] = {read_premature_finish, NULL},
    [TRACE_EXHAUSTED] = {read_exhausted, NULL},
    [TRACE_CONNECTED] = {read_connected, NULL},
    [TRACE_CLOSED] = {read_closed, NULL},
    [TRACE_SUITE_BEGIN] = {read_suite_begin, NULL},
    [TRACE_SUITE_END] = {read_suite_end, NULL},
    [TRACE_EXIT] = {read_exit, NULL},
    [TRACE_LOST] = {read_lost, NULL},
};

/* TRACE_EVENTS: one of another version, which is skipped. */
static enum trace_event event_of(const struct line *line)
{
	static const char *const names[] = {PQLEASH_TRACE_EVENTS(PQLEASH_TRACE_NAME)};
	int event = 0;

	while (event < TRACE_EVENTS && strcmp(names[event], line->event) != 0)
		event++;
	return (enum trace_event)event;
}

static bool read_event(struct line *line)
{
	enum trace_event event = event_of(line);

	if (event == TRACE_EVENTS)
		return true;
	if (readers[event].read)
		return readers[event].read(line);
	struct told *told = told_of(line);
	return told && told->known && readers[event].read_told &&
	       readers[event].read_told(line, told);
}

/* ---- Files ---- */

static const char *base_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path;
}

/* The first line: whose trace this is. NULL: not one of ours, or one of a time to come. */
static struct process *begin(struct line *line)
{
	struct reading *reading = line->reading;

	if (event_of(line) != TRACE_START || number(line, "version") < 1)
		return NULL;
	struct process *process = keep(sizeof *process);
	const char *program = base_name(text(line, "program"));
	*process = (struct process){.pid = (pid_t)number(line, "pid"),
	    .parent = (pid_t)number(line, "parent"),
	    .program = program ? intern(program) : intern("unknown"),
	    .script = text(line, "script"),
	    .limit = (unsigned long)number(line, "limit"),
	    .first_session = reading->told_count};
	reading->processes = grow(reading->processes, reading->process_count, sizeof(void *));
	reading->processes[reading->process_count++] = process;
	return process;
}

static void note_time(struct line *line)
{
	struct reading *reading = line->reading;

	if (reading->began_ms == 0 || line->ms < reading->began_ms)
		reading->began_ms = line->ms;
	if (line->ms > reading->ended_ms)
		reading->ended_ms = line->ms;
	if (line->ms > line->process->last_ms)
		line->process->last_ms = line->ms;
}

/* A file on its way. */
struct source {
	const char *name;
	struct process *process;
	json_tokener *tokener;
	unsigned long line_number, broken, first_broken;
	bool foreign;
};

static bool read_line(
    struct source *source, struct reading *reading, const char *bytes, size_t length)
{
	struct line line = {.reading = reading, .process = source->process};
	bool good = false;

	json_tokener_reset(source->tokener);
	line.object = json_tokener_parse_ex(source->tokener, bytes, (int)length);
	line.event =
	    json_object_is_type(line.object, json_type_object) ? text(&line, "event") : NULL;
	if (line.event) {
		line.ms = number(&line, "ms");
		if (!line.process)
			good = (source->process = line.process = begin(&line)) != NULL;
		else
			good = read_event(&line);
	}
	if (good)
		note_time(&line);
	json_object_put(line.object);
	return good;
}

static void read_lines(struct source *source, struct reading *reading, FILE *file)
{
	char *bytes = NULL;
	size_t room = 0;
	ssize_t length;

	while ((length = getline(&bytes, &room, file)) > 0) {
		source->line_number++;
		bool whole = bytes[length - 1] == '\n';
		bool good = (size_t)length < LONGEST_LINE &&
			    read_line(source, reading, bytes, (size_t)length);
		if (!source->process) {
			source->foreign = true;
			break;
		}
		/* A last line that is cut off is what a killed process leaves. */
		if (good || !whole)
			continue;
		if (source->broken++ == 0)
			source->first_broken = source->line_number;
	}
	free(bytes);
}

/* What every session of it has at its end. */
static void end_process(struct source *source, struct reading *reading)
{
	struct process *process = source->process;
	struct line line = {.reading = reading, .process = process, .ms = process->last_ms};

	for (size_t i = 0; i < process->session_count; i++) {
		struct told *told = reading->told[process->first_session + i];

		if (!told->known || !told->open)
			continue;
		set_attached(&line, told, false);
		told->ended_ms = process->last_ms;
		change(&line, -1, 0);
	}
}

static void tell_broken(const struct source *source, struct reading *reading, bool unreadable)
{
	if (source->foreign || !source->process)
		reading_problem(
		    reading, "%s: not a trace of pqleash, or empty; left out", source->name);
	else if (unreadable)
		reading_problem(
		    reading, "%s: %s; read as far as that", source->name, strerror(EIO));
	else if (source->broken > 0)
		reading_problem(reading,
		    "%s: %lu of %lu lines make no sense, the first is line %lu", source->name,
		    source->broken, source->line_number, source->first_broken);
}

static int open_trace(int folder, const char *name, struct reading *reading)
{
	struct stat found;
	int descriptor =
	    openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (descriptor < 0) {
		reading_problem(reading, "%s: %s; left out", name,
		    errno == ELOOP ? "is a symbolic link" : strerror(errno));
		return -1;
	}
	if (fstat(descriptor, &found) == 0 && S_ISREG(found.st_mode) &&
	    found.st_size <= LARGEST_FILE)
		return descriptor;
	reading_problem(reading, "%s: %s; left out", name,
	    S_ISREG(found.st_mode) ? "larger than 4 GB" : "not a file");
	close(descriptor);
	return -1;
}

static void read_trace(int folder, const char *name, struct reading *reading)
{
	struct source source = {.name = name, .tokener = json_tokener_new()};
	int descriptor = open_trace(folder, name, reading);
	FILE *file = descriptor >= 0 ? fdopen(descriptor, "r") : NULL;

	if (file && source.tokener) {
		read_lines(&source, reading, file);
		tell_broken(&source, reading, ferror(file));
		if (source.process)
			end_process(&source, reading);
	}
	if (file)
		fclose(file);
	if (source.tokener)
		json_tokener_free(source.tokener);
}

static int is_trace(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name), suffix = strlen(PQLEASH_TRACE_SUFFIX);

	return length > suffix &&
	       strcmp(entry->d_name + length - suffix, PQLEASH_TRACE_SUFFIX) == 0;
}

/* Its name says when it was begun; one that does not is read. */
static bool is_since(const char *name, int64_t since_ms)
{
	char *end;
	size_t length = strlen(name) - strlen(PQLEASH_TRACE_SUFFIX);
	const char *dot = memrchr(name, '.', length);
	long long began_ms = dot ? strtoll(dot + 1, &end, 10) : 0;

	return !dot || end != name + length || began_ms >= since_ms;
}

bool traces_read(
    const char *folder, int64_t since_ms, struct reading *reading, const char **problem)
{
	char why[512];
	struct dirent **entries;
	int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int count = descriptor < 0 ? -1 : scandirat(descriptor, ".", &entries, is_trace, alphasort);

	if (count < 0) {
		snprintf(why, sizeof why, "%s: %s", folder, strerror(errno));
		*problem = intern(why);
		return false;
	}
	for (int i = 0; i < count; i++) {
		if (is_since(entries[i]->d_name, since_ms))
			read_trace(descriptor, entries[i]->d_name, reading);
		free(entries[i]);
	}
	free(entries);
	close(descriptor);
	return true;
}
