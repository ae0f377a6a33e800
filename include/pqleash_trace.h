/*
 * The trace: what the preloaded object writes while a program runs, and the command reads
 * afterwards. One file per process in the folder PQLEASH_TRACE, named PROGRAM.PID.MILLISECONDS.jsonl
 * (the time since the epoch when it began), readable by its owner alone. JSON Lines: one object per
 * line and event, written with one write(2), so that a process that is killed loses nothing but a
 * line it was writing. The first field is the event. A reader skips events and fields that it does
 * not know, and does without those that it misses: version counts changes that a reader must know.
 *
 * Fields that several events have:
 *   ms       milliseconds since the epoch
 *   session  number of a session, from 1
 *   backend  number of a backend, from 1
 *   stack    number of a stack that an earlier line tells; 0 for none
 *   suite    who was at work: a test-framework suite, or what stands for it
 *   test     the test within it; left out where it is not known
 *   source   who told of them: "api", "check", "cunit", "pytest", "bats", "env", "program"
 * No field ever holds a password, or the text of a statement.
 */
#ifndef PQLEASH_TRACE_H
#define PQLEASH_TRACE_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PQLEASH_TRACE_VERSION 1
#define PQLEASH_TRACE_SUFFIX ".jsonl"

/* clang-format off */

/*
 * EVENT(id, name, fields): the name stands in the lines, the fields are told for people. Every line
 * has ms; "whose" is suite, test and source.
 *
 * start              the process, first line of every file: script is what an interpreter runs
 * module             a file that stacks lead through; build_id as its linker left it, if it did
 * stack              frames: [module, offset of the return address from where that was loaded], from
 *                    the innermost outwards; module 0: code that is of no file
 * open               PQconnectdb or the like: a session begins, with a backend if it has one already
 * failed             it could not connect; the program has to finish it all the same
 * attach             it gets a backend
 * detach             and has none any more
 * transaction        it was in one when it was finished, or the process ended
 * finish             PQfinish
 * used_after_finish  a call on a session that was finished
 * finished_twice     PQfinish once more
 * premature_finish   PQfinish, in a forked child, of a connection that its parent (owner: its pid)
 *                    has: left as it is
 * exhausted          no backend was to be had in time; holders: the sessions that had them
 * reclaimed          taken from a session for another one; kept: what kept it from being parked
 * connected          a connection to the server was made
 * closed             or closed
 * suite_begin        a suite was announced
 * suite_end          it has ended
 * exit               the process ends in an orderly way
 * lost               as many lines before this one could not be written
 */
#define PQLEASH_TRACE_EVENTS(EVENT) \
	EVENT(START, "start", "version pid parent program script limit pool_timeout_ms") \
	EVENT(MODULE, "module", "module path build_id") \
	EVENT(STACK, "stack", "stack frames") \
	EVENT(OPEN, "open", "session stack whose target backend failed") \
	EVENT(FAILED, "failed", "session") \
	EVENT(ATTACH, "attach", "session backend") \
	EVENT(DETACH, "detach", "session") \
	EVENT(TRANSACTION, "transaction", "session") \
	EVENT(FINISH, "finish", "session stack whose") \
	EVENT(USED_AFTER_FINISH, "used_after_finish", "session stack whose") \
	EVENT(FINISHED_TWICE, "finished_twice", "session stack whose") \
	EVENT(PREMATURE_FINISH, "premature_finish", "owner stack whose") \
	EVENT(EXHAUSTED, "exhausted", "session stack whose target holders") \
	EVENT(RECLAIMED, "reclaimed", "session kept") \
	EVENT(CONNECTED, "connected", "") \
	EVENT(CLOSED, "closed", "") \
	EVENT(SUITE_BEGIN, "suite_begin", "suite") \
	EVENT(SUITE_END, "suite_end", "suite") \
	EVENT(EXIT, "exit", "") \
	EVENT(LOST, "lost", "lines")

#define PQLEASH_TRACE_ID(id, name, fields) TRACE_##id,
#define PQLEASH_TRACE_NAME(id, name, fields) [TRACE_##id] = name,

/* clang-format on */

enum trace_event { PQLEASH_TRACE_EVENTS(PQLEASH_TRACE_ID) TRACE_EVENTS };

/*
 * The folder's path without what would lead through a symbolic link at its end after all: a slash,
 * or a slash and a dot. False when there is no room for it. Whoever may write to a folder above it
 * is trusted.
 */
static inline bool pqleash_trace_folder(const char *wanted, char *path, size_t size)
{
	int length = snprintf(path, size, "%s", wanted);

	if (length < 0 || (size_t)length >= size)
		return false;
	while (length > 1 &&
	       (path[length - 1] == '/' || (path[length - 1] == '.' && path[length - 2] == '/')))
		path[--length] = '\0';
	return true;
}

#endif
