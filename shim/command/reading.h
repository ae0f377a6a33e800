/*
 * What the traces say, before it is understood: processes, their sessions, stacks as addresses, and
 * what happened. See trace_reader.c.
 */
#ifndef READING_H
#define READING_H

#include "run.h"

#include <stdbool.h>

/* A frame as the trace has it. */
struct frame {
	const char *path, *build_id; /* of the module; interned; "" where not known */
	uint64_t offset;             /* of the return address, from where the module was loaded */
};

struct raw_stack {
	size_t count;
	struct frame *frames; /* from the innermost outwards */
	struct stack stack;   /* with names, once stacks.c has found them */
	const char *suite;    /* the file it comes from, ditto; NULL where not known */
};

struct process {
	pid_t pid, parent;
	const char *program; /* its file name */
	const char *script;  /* what the interpreter was told to run; NULL for none */
	unsigned long limit;
	bool ended; /* in an orderly way */
	int64_t last_ms;
	size_t first_session; /* its sessions' place among all: number 1 is there */
	size_t session_count;
	size_t module_count, stack_count;
	struct frame *modules;     /* path and build-id, by number - 1 */
	struct raw_stack **stacks; /* by number - 1; NULL where the line is missing */
	const char *announced;     /* the suite that runs now; NULL for none */
};

/* What the trace tells of one session. */
struct told {
	struct process *process;
	unsigned long number;
	const char *suite, *test, *source, *target;
	struct raw_stack *opened_at, *finished_at;
	int64_t opened_ms, ended_ms;
	bool open;     /* now, while reading */
	bool known;    /* an open event was read */
	bool finished; /* once, even if it was used afterwards */
	bool failed;
	bool attached;
	size_t span_count;
	struct span *spans;
};

/* One thing that happened. */
struct incident {
	enum finding_kind kind;
	struct process *process;
	struct told *told; /* NULL where it is not about one session */
	struct raw_stack *where, *other;
	const char *suite, *test, *target;
	const char *kept;
	size_t holder_count;
	unsigned long *holders; /* numbers of sessions of the same process */
};

/* A session or a backend more, or less. */
struct change {
	int64_t ms;
	size_t order; /* in which it was read */
	int sessions, backends;
};

struct reading {
	size_t process_count, told_count, incident_count, change_count, problem_count;
	size_t stack_count;
	struct process **processes;
	struct told **told;
	struct incident *incidents;
	struct change *changes;
	const char **problems;
	struct raw_stack **stacks; /* of all processes */
	int64_t began_ms, ended_ms;
};

/*
 * Read all traces of a folder that were begun at or after this moment; those that are no traces, or
 * broken, become problems: a line each. False when there is no such folder: *problem is one line
 * then, interned.
 */
bool traces_read(
    const char *folder, int64_t since_ms, struct reading *reading, const char **problem);

void reading_problem(struct reading *reading, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
