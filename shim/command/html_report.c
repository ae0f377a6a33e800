/*
 * The run as one page to look at: html_page.html, which is part of this command, with the run as JSON in
 * the place of its marker. What the page shows and how is the page's business; nothing here is HTML. Texts
 * and stacks are told once and named by their number, so that many sessions make a small page.
 */
#include "html_report.h"
#include "github_report.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define MARKER "@RUN@"

typedef struct json_object json;

/* Assembled in, from where make runs: C has no other way to embed a file that all compilers know. */
#ifndef HTML_PAGE
#define HTML_PAGE "shim/command/html_page.html"
#endif
__asm__(".pushsection .rodata\n"
	"html_page: .incbin \"" HTML_PAGE "\"\n"
	".byte 0\n"
	".popsection\n");
extern const char html_page[] __asm__("html_page");

/* A text, by its bytes; or a stack, by its address. */
struct numbered {
	const void *key;
	int number;
	UT_hash_handle hh;
};

struct page {
	struct numbered *texts, *stacks;
	json *text_array, *stack_array;
	bool failed;
};

static json *number(int64_t value)
{
	return json_object_new_int64(value);
}

static void append(json *array, int64_t value)
{
	json_object_array_add(array, number(value));
}

static struct numbered *remember(struct page *page, const void *key, json *array)
{
	struct numbered *entry = malloc(sizeof *entry);

	if (entry)
		*entry =
		    (struct numbered){.key = key, .number = (int)json_object_array_length(array)};
	else
		page->failed = true;
	return entry;
}

/* -1 for NULL. */
static int text_number(struct page *page, const char *text)
{
	size_t length = text ? strlen(text) : 0;
	struct numbered *entry;

	if (!text)
		return -1;
	HASH_FIND(hh, page->texts, text, length, entry);
	if (entry)
		return entry->number;
	char *clean = annotation_text(text);
	entry = clean ? remember(page, text, page->text_array) : NULL;
	if (entry) {
		HASH_ADD_KEYPTR(hh, page->texts, text, length, entry);
		json_object_array_add(page->text_array, json_object_new_string(clean));
	}
	free(clean);
	page->failed |= !entry;
	return entry ? entry->number : -1;
}

/* [function, file, line, module, offset, inlined] */
static json *new_frame(struct page *page, const struct place *place)
{
	json *frame = json_object_new_array_ext(6);
	char *path = place->file ? annotation_path(place->file) : NULL, hex[2 + 16 + 1];

	append(frame, text_number(page, place->function));
	json_object_array_add(frame, path ? json_object_new_string(path) : NULL);
	append(frame, place->line);
	append(frame, text_number(page, place->module));
	snprintf(hex, sizeof hex, "0x%llx", (unsigned long long)place->offset);
	json_object_array_add(frame, json_object_new_string(hex));
	append(frame, place->inlined);
	free(path);
	return frame;
}

/* -1 for NULL. */
static int stack_number(struct page *page, const struct stack *stack)
{
	struct numbered *entry;

	if (!stack)
		return -1;
	HASH_FIND_PTR(page->stacks, &stack, entry);
	if (entry)
		return entry->number;
	entry = remember(page, stack, page->stack_array);
	if (!entry)
		return -1;
	HASH_ADD_PTR(page->stacks, key, entry);
	json *frames = json_object_new_array_ext((int)stack->count);
	for (size_t i = 0; i < stack->count; i++)
		json_object_array_add(frames, new_frame(page, &stack->places[i]));
	json_object_array_add(page->stack_array, frames);
	return entry->number;
}

/*
 * A "<" stands only within a string: escaped there, no name can end the script element or begin a comment
 * in it.
 */
static void write_json(struct page *page, json *object, FILE *out)
{
	const char *at = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);

	page->failed |= !at;
	while (at && *at) {
		size_t plain = strcspn(at, "<>&");

		fwrite(at, 1, plain, out);
		at += plain;
		if (*at)
			fprintf(out, "\\u%04x", *at++);
	}
	json_object_put(object);
}

enum { SESSION_FINISHED = 1, SESSION_FAILED = 2, SESSION_LEAKED = 4 };

/* [suite, test, program, target, process, number, opened, ended, flags, stack, [from, to, ...]] */
static json *new_session(struct page *page, const struct run *run, const struct session *session)
{
	json *array = json_object_new_array_ext(11), *spans;

	append(array, text_number(page, session->suite));
	append(array, text_number(page, session->test));
	append(array, text_number(page, session->program));
	append(array, text_number(page, session->target));
	append(array, session->pid);
	append(array, (int64_t)session->number);
	append(array, session->opened_ms - run->began_ms);
	append(array, session->ended_ms - run->began_ms);
	append(array, (session->finished ? SESSION_FINISHED : 0) |
			  (session->failed ? SESSION_FAILED : 0) |
			  (session->leaked ? SESSION_LEAKED : 0));
	append(array, stack_number(page, session->opened_at));
	json_object_array_add(array, spans = json_object_new_array());
	for (size_t i = 0; i < session->attached_count; i++) {
		append(spans, session->attached[i].from_ms - run->began_ms);
		append(spans, session->attached[i].to_ms - run->began_ms);
	}
	return array;
}

/* [kind, suite, test, program, target, where, other, count, held, details, accepted, error, place] */
static json *new_finding(struct page *page, const struct finding *finding)
{
	const struct place *place = finding_place(finding);
	json *array = json_object_new_array_ext(13);

	append(array, finding->kind);
	append(array, text_number(page, finding->suite));
	append(array, text_number(page, finding->test));
	append(array, text_number(page, finding->program));
	append(array, text_number(page, finding->target));
	append(array, stack_number(page, finding->where));
	append(array, stack_number(page, finding->other));
	append(array, (int64_t)finding->count);
	append(array, finding->held_ms);
	append(array, text_number(page, finding->details));
	append(array, finding->accepted);
	append(array, annotation_is_error(finding->kind));
	json_object_array_add(array, place ? new_frame(page, place) : NULL);
	return array;
}

static json *new_level(const struct run *run, const struct level *level)
{
	json *array = json_object_new_array_ext(3);

	append(array, level->ms - run->began_ms);
	append(array, (int64_t)level->sessions);
	append(array, (int64_t)level->backends);
	return array;
}

static void add(json *object, const char *key, int64_t value)
{
	json_object_object_add(object, key, number(value));
}

static json *new_totals(const struct run *run)
{
	json *totals = json_object_new_object();

	add(totals, "processes", (int64_t)run->process_count);
	add(totals, "mostSessions", (int64_t)run->most_sessions);
	add(totals, "mostBackends", (int64_t)run->most_backends);
	add(totals, "limit", (int64_t)run->limit);
	add(totals, "began", run->began_ms);
	add(totals, "lasted", run->ended_ms - run->began_ms);
	return totals;
}

static json *new_kinds(void)
{
	json *kinds = json_object_new_array();

	for (int kind = 0; kind < FINDING_KINDS; kind++)
		json_object_array_add(kinds, json_object_new_string(finding_name(kind)));
	return kinds;
}

static json *new_problems(const struct run *run)
{
	json *problems = json_object_new_array();

	for (size_t i = 0; i < run->problem_count; i++) {
		char *clean = annotation_text(run->problems[i]);

		json_object_array_add(problems, json_object_new_string(clean ? clean : ""));
		free(clean);
	}
	return problems;
}

static void write_lists(struct page *page, const struct run *run, FILE *out)
{
	fputs(",\n\"sessions\":[", out);
	for (size_t i = 0; i < run->session_count; i++) {
		fputs(i ? ",\n" : "\n", out);
		write_json(page, new_session(page, run, &run->sessions[i]), out);
	}
	fputs("],\n\"findings\":[", out);
	for (size_t i = 0; i < run->finding_count; i++) {
		fputs(i ? ",\n" : "\n", out);
		write_json(page, new_finding(page, &run->findings[i]), out);
	}
	fputs("],\n\"levels\":[", out);
	for (size_t i = 0; i < run->level_count; i++) {
		fputs(i ? "," : "", out);
		write_json(page, new_level(run, &run->levels[i]), out);
	}
	putc(']', out);
}

static void write_data(struct page *page, const struct run *run, FILE *out)
{
	fputs("{\"totals\":", out);
	write_json(page, new_totals(run), out);
	fputs(",\"kinds\":", out);
	write_json(page, new_kinds(), out);
	fputs(",\"problems\":", out);
	write_json(page, new_problems(run), out);
	write_lists(page, run, out);
	fputs(",\n\"texts\":", out);
	write_json(page, page->text_array, out);
	fputs(",\n\"stacks\":", out);
	write_json(page, page->stack_array, out);
	putc('}', out);
}

static void forget(struct numbered *entries)
{
	struct numbered *entry = entries, *next;

	HASH_CLEAR(hh, entries); /* frees only its own table */
	for (; entry; entry = next) {
		next = entry->hh.next;
		free(entry);
	}
}

bool html_report(const struct run *run, FILE *out)
{
	struct page page = {
	    .text_array = json_object_new_array(), .stack_array = json_object_new_array()};
	const char *marker = strstr(html_page, MARKER);

	fwrite(html_page, 1, (size_t)(marker - html_page), out);
	write_data(&page, run, out);
	fputs(marker + strlen(MARKER), out);
	forget(page.texts);
	forget(page.stacks);
	return !page.failed && fflush(out) == 0 && !ferror(out);
}
