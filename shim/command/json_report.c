/*
 * The run as one JSON object: totals, findings, sessions and problems. Fields that are not known are
 * left out. Written element by element, so that a hundred thousand sessions need little memory.
 */
#include "json_report.h"
#include "github_report.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

typedef struct json_object json;

static void add_text(json *object, const char *name, const char *text)
{
	char *clean = text ? annotation_text(text) : NULL;

	if (clean)
		json_object_object_add(object, name, json_object_new_string(clean));
	free(clean);
}

static void add_number(json *object, const char *name, int64_t number)
{
	json_object_object_add(object, name, json_object_new_int64(number));
}

static void add_flag(json *object, const char *name, bool flag)
{
	json_object_object_add(object, name, json_object_new_boolean(flag));
}

static void write_object(json *object, FILE *out)
{
	fputs(json_object_to_json_string_ext(object, JSON_C_TO_STRING_NOSLASHESCAPE), out);
	json_object_put(object);
}

static json *new_place(const struct place *place)
{
	json *object = json_object_new_object();
	char *path = place->file ? annotation_path(place->file) : NULL, offset[32];

	snprintf(offset, sizeof offset, "0x%llx", (unsigned long long)place->offset);
	add_text(object, "function", place->function);
	add_text(object, "file", path);
	if (place->line > 0)
		add_number(object, "line", place->line);
	add_text(object, "module", place->module);
	add_text(object, "offset", offset);
	if (place->inlined)
		add_flag(object, "inlined", true);
	free(path);
	return object;
}

static void add_stack(json *object, const char *name, const struct stack *stack)
{
	if (!stack)
		return;
	json *array = json_object_new_array();
	for (size_t i = 0; i < stack->count; i++)
		json_object_array_add(array, new_place(&stack->places[i]));
	json_object_object_add(object, name, array);
}

/* "used-after-finish" */
static void add_kind(json *object, enum finding_kind kind)
{
	char name[64];

	snprintf(name, sizeof name, "%s", finding_name(kind));
	for (char *at = name; *at; at++)
		if (*at == ' ')
			*at = '-';
	add_text(object, "kind", name);
}

static json *new_finding(const struct finding *finding)
{
	json *object = json_object_new_object();
	const struct place *place = finding_place(finding);

	add_kind(object, finding->kind);
	add_text(object, "suite", finding->suite);
	add_text(object, "test", finding->test);
	add_text(object, "program", finding->program);
	add_text(object, "target", finding->target);
	add_number(object, "count", (int64_t)finding->count);
	add_number(object, "held_ms", finding->held_ms);
	if (place)
		json_object_object_add(object, "place", new_place(place));
	add_stack(object, "stack", finding->where);
	add_stack(object, "finished_at", finding->other);
	add_text(object, "details", finding->details);
	add_text(object, "key", finding->key);
	add_flag(object, "error", annotation_is_error(finding->kind));
	add_flag(object, "accepted", finding->accepted);
	return object;
}

static json *new_session(const struct session *session)
{
	json *object = json_object_new_object();

	add_text(object, "program", session->program);
	add_number(object, "pid", session->pid);
	add_number(object, "session", (int64_t)session->number);
	add_text(object, "suite", session->suite);
	add_text(object, "test", session->test);
	add_text(object, "target", session->target);
	add_number(object, "opened_ms", session->opened_ms);
	add_number(object, "ended_ms", session->ended_ms);
	add_flag(object, "finished", session->finished);
	add_flag(object, "failed", session->failed);
	add_flag(object, "leaked", session->leaked);
	return object;
}

static json *new_totals(const struct run *run)
{
	json *object = json_object_new_object();
	int64_t leaked = 0;

	for (size_t i = 0; i < run->session_count; i++)
		leaked += run->sessions[i].leaked;
	add_number(object, "processes", (int64_t)run->process_count);
	add_number(object, "sessions", (int64_t)run->session_count);
	add_number(object, "leaked", leaked);
	add_number(object, "most_sessions", (int64_t)run->most_sessions);
	add_number(object, "most_backends", (int64_t)run->most_backends);
	add_number(object, "limit", (int64_t)run->limit);
	add_number(object, "began_ms", run->began_ms);
	add_number(object, "ended_ms", run->ended_ms);
	return object;
}

static void write_sessions(const struct run *run, FILE *out)
{
	fputs(",\n\"sessions\":[", out);
	for (size_t i = 0; i < run->session_count; i++) {
		fputs(i ? ",\n" : "\n", out);
		write_object(new_session(&run->sessions[i]), out);
	}
	fputs("]", out);
}

static void write_findings(const struct run *run, FILE *out)
{
	fputs(",\n\"findings\":[", out);
	for (size_t i = 0; i < run->finding_count; i++) {
		fputs(i ? ",\n" : "\n", out);
		write_object(new_finding(&run->findings[i]), out);
	}
	fputs("]", out);
}

static void write_problems(const struct run *run, FILE *out)
{
	json *array = json_object_new_array();

	for (size_t i = 0; i < run->problem_count; i++) {
		char *clean = annotation_text(run->problems[i]);

		json_object_array_add(array, json_object_new_string(clean ? clean : ""));
		free(clean);
	}
	fputs(",\n\"problems\":", out);
	write_object(array, out);
}

bool json_report(const struct run *run, FILE *out)
{
	fputs("{\"version\":1,\n\"totals\":", out);
	write_object(new_totals(run), out);
	if (run->unseen) {
		char *clean = annotation_text(run->unseen);
		fputs(",\n\"unseen\":", out);
		write_object(json_object_new_string(clean ? clean : ""), out);
		free(clean);
	}
	write_findings(run, out);
	write_sessions(run, out);
	write_problems(run, out);
	fputs("}\n", out);
	return fflush(out) == 0 && !ferror(out);
}
