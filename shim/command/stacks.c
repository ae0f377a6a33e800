/*
 * Names stacks, and finds out which of their lines is the suite's. Where no framework tells, the
 * suite is a source file of the program: that of the outermost frame below main, or, where a
 * harness calls the suites from one line through a pointer, of the frame that it calls. Such a line
 * is seen by what it calls: different functions in different stacks.
 */
#include "stacks.h"
#include "github_report.h"
#include "intern.h"
#include "symbols.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* A frame that was seen, by module and offset; the path is interned. */
struct site_key {
	const char *path, *build_id;
	uint64_t offset;
};

struct site {
	UT_hash_handle hh;
	struct site_key key;
	size_t place_count;
	struct place *places;
	const struct place *calls; /* the function that it was seen to call */
	bool dispatches;           /* and others, too */
};

static struct site *sites;

static struct site *site_of(const struct frame *frame)
{
	struct site_key key;
	struct site *site;

	memset(&key, 0, sizeof key);
	key.path = frame->path;
	key.build_id = frame->build_id;
	key.offset = frame->offset;
	HASH_FIND(hh, sites, &key, sizeof key, site);
	if (site)
		return site;
	site = keep(sizeof *site);
	site->key = key;
	site->place_count = symbols_at(key.path, key.build_id, key.offset, &site->places);
	HASH_ADD(hh, sites, key, sizeof key, site);
	return site;
}

static void name_stack(struct raw_stack *raw)
{
	size_t count = 0;
	struct place *places = NULL;

	for (size_t i = 0; i < raw->count; i++) {
		const struct site *site = site_of(&raw->frames[i]);

		for (size_t k = 0; k < site->place_count; k++) {
			places = grow(places, count, sizeof *places);
			places[count++] = site->places[k];
		}
	}
	raw->stack = (struct stack){.count = count, .places = places, .suite_at = count};
}

/* Names of theirs are interned; static functions of several files may have the same. */
static bool are_one(const struct place *one, const struct place *other)
{
	return one->function == other->function && one->file == other->file;
}

/* What each line calls: the outermost function of the frame within. */
static void note_calls(const struct raw_stack *raw)
{
	for (size_t i = 1; i < raw->count; i++) {
		struct site *site = site_of(&raw->frames[i]);
		const struct site *within = site_of(&raw->frames[i - 1]);
		const struct place *called = &within->places[within->place_count - 1];

		if (!called->function)
			continue;
		if (site->calls && !are_one(site->calls, called))
			site->dispatches = true;
		site->calls = called;
	}
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Of the machine, not of the program under test, even where debug information is installed. */
static bool is_of_system(const char *module)
{
	if (begins(module, "/usr/local/") || begins(module, "/usr/src/"))
		return false;
	return begins(module, "/usr/") || begins(module, "/lib") || begins(module, "/bin/") ||
	       begins(module, "/sbin/") || module[0] == '\0';
}

static bool is_programs(const struct place *place)
{
	return place->file && !is_of_system(place->module);
}

/* How many of the innermost places come from suites: those within the dispatcher, or within main. */
static size_t count_below(const struct raw_stack *raw)
{
	const struct stack *stack = &raw->stack;
	size_t below_main = stack->count, place = below_main;

	for (size_t i = raw->count; i-- > 0;) {
		const struct site *site = site_of(&raw->frames[i]);

		place -= site->place_count;
		for (size_t k = 0; k < site->place_count; k++)
			if (site->places[k].function && is_programs(&site->places[k]) &&
			    strcmp(site->places[k].function, "main") == 0)
				below_main = place + k;
		if (site->dispatches && is_programs(&site->places[0]) && place > 0)
			return place;
	}
	return below_main;
}

/* Without debug information: its innermost frame. */
static void point_into_program(struct stack *stack)
{
	for (size_t i = 0; i < stack->count && stack->suite_at == stack->count; i++)
		if (!is_of_system(stack->places[i].module))
			stack->suite_at = i;
}

/* The innermost line of the outermost file below. */
static void find_suite(struct raw_stack *raw)
{
	struct stack *stack = &raw->stack;
	if (!stack->places)
		return;
	size_t below = count_below(raw), outermost = stack->count;

	for (size_t i = 0; i < below; i++)
		if (is_programs(&stack->places[i]))
			outermost = i;
	/* All of it is in main itself. */
	for (size_t i = below; outermost == stack->count && i < stack->count; i++)
		if (is_programs(&stack->places[i]))
			outermost = i;
	if (outermost == stack->count) {
		point_into_program(stack);
		return;
	}
	const char *file = stack->places[outermost].file;
	for (size_t i = 0; i <= outermost && stack->suite_at == stack->count; i++)
		if (is_programs(&stack->places[i]) && strcmp(stack->places[i].file, file) == 0)
			stack->suite_at = i;
	char *path = annotation_path(file);
	raw->suite = intern(path);
	free(path);
}

void stacks_name(struct reading *reading)
{
	sites = NULL;
	for (size_t i = 0; i < reading->stack_count; i++)
		name_stack(reading->stacks[i]);
	for (size_t i = 0; i < reading->stack_count; i++)
		note_calls(reading->stacks[i]);
	for (size_t i = 0; i < reading->stack_count; i++)
		find_suite(reading->stacks[i]);
}
