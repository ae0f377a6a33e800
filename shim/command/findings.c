/*
 * Findings. Owns what counts as one, which of them are the same, and in which order they are told.
 * The same are those of one kind, program, suite and line; for the baseline, which has to survive
 * that lines move, of one function.
 */
#include "findings.h"
#include "github_report.h"
#include "intern.h"
#include "stacks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

static const char *const names[FINDING_KINDS] = {
    [FINDING_LEAKED] = "leaked",
    [FINDING_USED_AFTER_FINISH] = "used after finish",
    [FINDING_FINISHED_TWICE] = "finished twice",
    [FINDING_TRANSACTION_LEFT_OPEN] = "transaction left open",
    [FINDING_POOL_EXHAUSTED] = "pool exhausted",
    [FINDING_RECLAIMED] = "reclaimed",
    [FINDING_OUTLIVED_SUITE] = "outlived its suite",
    [FINDING_FAILED_NEVER_FINISHED] = "failed connect never finished",
};

const char *finding_name(enum finding_kind kind)
{
	return names[kind];
}

const struct place *finding_place(const struct finding *finding)
{
	const struct stack *stack = finding->where;

	if (!stack || !stack->places)
		return NULL;
	const struct place *own =
	    stack->suite_at < stack->count ? &stack->places[stack->suite_at] : NULL;
	/* An interpreter's frames are not what its test did. */
	if (finding->test && !(own && own->file))
		return NULL;
	if (own)
		return own;
	for (const struct place *place = stack->places; place < stack->places + stack->count;
	     place++)
		if (place->function)
			return place;
	return stack->places;
}

/* ---- Suites ---- */

static const char *suite_from(
    const char *known, const struct raw_stack *raw, const struct process *process)
{
	if (known)
		return known;
	if (raw && raw->suite)
		return raw->suite;
	return process->script ? process->script : process->program;
}

static const char *suite_of_told(const struct told *told)
{
	return suite_from(told->suite, told->opened_at, told->process);
}

/* Who did it; where that is unknown, whose session it was. */
static const char *suite_of_incident(const struct incident *incident)
{
	bool same = incident->told && incident->where == incident->told->opened_at;

	if (same || (incident->told && !incident->where && !incident->suite))
		return suite_of_told(incident->told);
	return suite_from(incident->suite, incident->where, incident->process);
}

/* ---- One finding for each place ---- */

struct group {
	UT_hash_handle hh;
	struct finding finding;
	char name[]; /* kind, program, suite and place */
};

static struct group *groups;

static const char *where_text(const struct finding *finding, bool with_line)
{
	const struct place *place = finding_place(finding);
	char *path = place && place->file ? annotation_path(place->file) : NULL, *text = NULL;
	int made;

	if (!place)
		made = asprintf(&text, "%s", finding->test ? finding->test : "");
	else if (with_line && path)
		made = asprintf(&text, "%s:%d", path, place->line);
	else if (place->function)
		made = asprintf(&text, "%s", place->function);
	else
		made =
		    asprintf(&text, "%s+0x%llx", place->module, (unsigned long long)place->offset);
	const char *kept = intern(made < 0 ? "" : text);
	free(text);
	free(path);
	return kept;
}

/* One line of text, whatever names have in them. */
static const char *name_of(const struct finding *finding, bool with_line)
{
	char *text;

	if (asprintf(&text, "%s|%s|%s|%s", names[finding->kind], finding->program, finding->suite,
		where_text(finding, with_line)) < 0)
		return intern("");
	for (char *at = text; *at; at++)
		if ((unsigned char)*at < ' ')
			*at = '?';
	const char *kept = intern(text);
	free(text);
	return kept;
}

static void add_finding(const struct finding *finding)
{
	const char *name = name_of(finding, true);
	size_t length = strlen(name);
	struct group *group;

	HASH_FIND(hh, groups, name, length, group);
	if (!group) {
		group = keep(sizeof *group + length + 1);
		memcpy(group->name, name, length);
		group->finding = *finding;
		group->finding.key = name_of(finding, false);
		group->finding.count = 0;
		HASH_ADD(hh, groups, name, length, group);
	}
	group->finding.count++;
	if (finding->held_ms > group->finding.held_ms)
		group->finding.held_ms = finding->held_ms;
}

static const struct stack *stack_or_null(const struct raw_stack *raw)
{
	return raw ? &raw->stack : NULL;
}

/* "tests/a.c:12 (suite accounts), tests/b.c:7 (suite billing)" */
static const char *describe_holders(const struct reading *reading, const struct incident *incident)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;
	fputs(incident->holder_count ? "held by " : "", out);
	for (size_t i = 0; i < incident->holder_count; i++) {
		size_t which = incident->holders[i] - 1;
		if (which >= incident->process->session_count)
			continue;
		const struct told *holder = reading->told[incident->process->first_session + which];
		struct finding opened = {
		    .where = stack_or_null(holder->opened_at), .test = holder->test};

		fprintf(out, "%s%s (suite %s)", i ? ", " : "", where_text(&opened, true),
		    suite_of_told(holder));
	}
	fclose(out);
	const char *kept = intern(text);
	free(text);
	return kept;
}

static void add_incident(const struct reading *reading, const struct incident *incident)
{
	const struct told *told = incident->told;
	struct finding finding = {.kind = incident->kind,
	    .suite = suite_of_incident(incident),
	    .test = incident->test ? incident->test
		    : told         ? told->test
				   : NULL,
	    .program = incident->process->program,
	    .target = incident->target,
	    .where = stack_or_null(incident->where),
	    .other = stack_or_null(incident->other),
	    .held_ms =
		told && told->ended_ms > told->opened_ms ? told->ended_ms - told->opened_ms : 0,
	    .details = incident->kept};

	/* What it should have done before. */
	if (incident->kind == FINDING_TRANSACTION_LEFT_OPEN)
		finding.other = stack_or_null(told->finished_at);
	if (incident->kind == FINDING_POOL_EXHAUSTED)
		finding.details = describe_holders(reading, incident);
	add_finding(&finding);
}

static void add_never_finished(const struct told *told)
{
	struct finding finding = {
	    .kind = told->failed ? FINDING_FAILED_NEVER_FINISHED : FINDING_LEAKED,
	    .suite = suite_of_told(told),
	    .test = told->test,
	    .program = told->process->program,
	    .target = told->target,
	    .where = stack_or_null(told->opened_at),
	    .held_ms = told->ended_ms - told->opened_ms};

	add_finding(&finding);
}

static int by_harm(const void *left, const void *right)
{
	const struct finding *one = left, *other = right;

	if (one->kind != other->kind)
		return one->kind < other->kind ? -1 : 1;
	if (one->count != other->count)
		return one->count > other->count ? -1 : 1;
	return strcmp(one->key, other->key);
}

static void take_findings(struct run *run)
{
	size_t count = HASH_COUNT(groups), i = 0;

	run->findings = keep((count + 1) * sizeof *run->findings);
	run->finding_count = count;
	for (struct group *group = groups; group; group = group->hh.next)
		run->findings[i++] = group->finding;
	qsort(run->findings, count, sizeof *run->findings, by_harm);
}

/* ---- Sessions and levels ---- */

static void take_session(struct run *run, const struct told *told)
{
	run->sessions[run->session_count++] = (struct session){.program = told->process->program,
	    .pid = told->process->pid,
	    .number = told->number,
	    .suite = suite_of_told(told),
	    .test = told->test,
	    .target = told->target,
	    .opened_at = stack_or_null(told->opened_at),
	    .opened_ms = told->opened_ms,
	    .ended_ms = told->ended_ms,
	    .finished = told->finished,
	    .failed = told->failed,
	    .leaked = !told->finished && !told->failed,
	    .attached_count = told->span_count,
	    .attached = told->spans};
}

static int by_opening(const void *left, const void *right)
{
	const struct session *one = left, *other = right;

	if (one->opened_ms != other->opened_ms)
		return one->opened_ms < other->opened_ms ? -1 : 1;
	if (one->pid != other->pid)
		return one->pid < other->pid ? -1 : 1;
	return one->number < other->number ? -1 : one->number > other->number;
}

static int by_time(const void *left, const void *right)
{
	const struct change *one = left, *other = right;

	if (one->ms != other->ms)
		return one->ms < other->ms ? -1 : 1;
	return one->order < other->order ? -1 : one->order > other->order;
}

static void add_level(struct run *run, int64_t ms, long sessions, long backends)
{
	run->levels = grow(run->levels, run->level_count, sizeof *run->levels);
	run->levels[run->level_count++] = (struct level){.ms = ms,
	    .sessions = sessions > 0 ? (unsigned long)sessions : 0,
	    .backends = backends > 0 ? (unsigned long)backends : 0};
}

static long larger(long one, long other)
{
	return one > other ? one : other;
}

/* One level for each moment: the most there were in it, and what was left of that. */
static void take_levels(const struct reading *reading, struct run *run)
{
	const struct change *changes = reading->changes;
	long sessions = 0, backends = 0;

	for (size_t i = 0; i < reading->change_count;) {
		long most_sessions = 0, most_backends = 0;
		int64_t ms = changes[i].ms;

		for (; i < reading->change_count && changes[i].ms == ms; i++) {
			sessions += changes[i].sessions;
			backends += changes[i].backends;
			most_sessions = larger(most_sessions, sessions);
			most_backends = larger(most_backends, backends);
		}
		add_level(run, ms, most_sessions, most_backends);
		if (most_sessions != sessions || most_backends != backends)
			add_level(run, ms, sessions, backends);
		run->most_sessions = (unsigned long)larger((long)run->most_sessions, most_sessions);
		run->most_backends = (unsigned long)larger((long)run->most_backends, most_backends);
	}
}

/* ---- All of it ---- */

static void tell_unended(struct reading *reading)
{
	size_t unended = 0;
	const char *program = NULL;

	for (size_t i = 0; i < reading->process_count; i++) {
		const struct process *process = reading->processes[i];
		bool leaks = false;

		for (size_t k = 0; k < process->session_count && !leaks; k++)
			leaks = reading->told[process->first_session + k]->open;
		if (process->ended || !leaks)
			continue;
		unended++;
		program = process->program;
	}
	if (unended == 1)
		reading_problem(reading,
		    "%s was killed, or ended by _exit: what it had open counts as leaked", program);
	else if (unended > 1)
		reading_problem(reading,
		    "%zu processes were killed, or ended by _exit: what they had open counts as "
		    "leaked",
		    unended);
}

static void take_told(const struct reading *reading, struct run *run)
{
	run->sessions = keep((reading->told_count + 1) * sizeof *run->sessions);
	for (size_t i = 0; i < reading->told_count; i++) {
		const struct told *told = reading->told[i];

		if (!told->known)
			continue;
		take_session(run, told);
		if (!told->finished)
			add_never_finished(told);
	}
	qsort(run->sessions, run->session_count, sizeof *run->sessions, by_opening);
}

void findings_make(struct reading *reading, struct run *run)
{
	groups = NULL;
	stacks_name(reading);
	tell_unended(reading);
	run->process_count = reading->process_count;
	run->began_ms = reading->began_ms;
	run->ended_ms = reading->ended_ms;
	for (size_t i = 0; i < reading->process_count; i++)
		if (reading->processes[i]->limit > run->limit)
			run->limit = reading->processes[i]->limit;
	take_told(reading, run);
	for (size_t i = 0; i < reading->incident_count; i++)
		add_incident(reading, &reading->incidents[i]);
	take_findings(run);
	if (reading->change_count > 0)
		qsort(reading->changes, reading->change_count, sizeof *reading->changes, by_time);
	take_levels(reading, run);
	run->problem_count = reading->problem_count;
	run->problems = reading->problems;
}
