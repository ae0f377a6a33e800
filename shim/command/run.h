/*
 * What the traces of one run tell, in memory: filled by the reader and the search for findings, shown by
 * the reports. Texts are interned or belong to the run; nothing here is freed before the process ends.
 */
#ifndef RUN_H
#define RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* One frame of a stack; those that the compiler inlined come before the one they are in. */
struct place {
	const char *function; /* NULL where not known */
	const char *file;     /* as the debug information has it; NULL where not known */
	int line;             /* 0 where not known */
	const char *module;   /* path of the object file */
	uint64_t offset;      /* of the return address in the module */
	bool inlined;
};

/* From the innermost frame, the caller of libpq, outwards. */
struct stack {
	size_t count;
	const struct place *places;
	size_t suite_at; /* which of them the suite's own line is; count for none */
};

/* Sorted by harm: the first is the worst. */
enum finding_kind {
	FINDING_LEAKED,
	FINDING_USED_AFTER_FINISH,
	FINDING_FINISHED_TWICE,
	FINDING_TRANSACTION_LEFT_OPEN,
	FINDING_POOL_EXHAUSTED,
	FINDING_RECLAIMED,
	FINDING_OUTLIVED_SUITE,
	FINDING_FAILED_NEVER_FINISHED,
	FINDING_KINDS,
};

/* All that happened at one place, in one suite. */
struct finding {
	enum finding_kind kind;
	const char *suite, *test;  /* test: of the first; NULL where not known */
	const char *program;       /* its file name */
	const char *target;        /* user@host:port/database, of the first */
	const struct stack *where; /* of the misuse; of a leak: where it was opened */
	const struct stack
	    *other; /* used after finish, finished twice: where it was finished; else NULL */
	unsigned long count;
	int64_t held_ms;     /* the longest that one of them was open */
	const char *details; /* pool exhausted: the holders; reclaimed: what kept it; else NULL */
	const char *key;     /* what the baseline knows it by: no line numbers */
	bool accepted;       /* the baseline knows it */
};

struct span {
	int64_t from_ms, to_ms;
};

struct session {
	const char *program;
	pid_t pid;
	unsigned long number;
	const char *suite, *test, *target;
	const struct stack *opened_at;
	int64_t opened_ms;
	int64_t ended_ms; /* of one that was never finished: when its process ended */
	bool finished, failed, leaked;
	size_t attached_count;
	struct span *attached; /* when it had a backend; parked or waiting in between */
};

/* The most that were open at once up to a moment; one per change. */
struct level {
	int64_t ms;
	unsigned long sessions, backends;
};

struct run {
	size_t process_count;
	size_t session_count;
	struct session *sessions; /* in the order of opening */
	size_t finding_count;
	struct finding *findings; /* sorted by harm, then by count */
	size_t level_count;
	struct level *levels;
	unsigned long most_sessions; /* open at once: what the run would have needed without us */
	unsigned long most_backends;
	unsigned long limit; /* the largest of the processes' */
	int64_t began_ms, ended_ms;
	const char *unseen;   /* why nothing was intercepted; NULL when something was */
	size_t problem_count; /* what could not be read, a line each */
	const char **problems;
};

/* "leaked", "used after finish": for people, and with dashes for options, JSON and baselines. */
const char *finding_name(enum finding_kind kind);

/* The line of the suite's own file that led to it, else the first with a name; NULL for none. */
const struct place *finding_place(const struct finding *finding);

#endif
