/*
 * The run for people: totals first, then a line for each place, the worst first. Owns that no line
 * is longer than 80 characters, and what is said when all is well: one line.
 */
#include "text_report.h"
#include "github_report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	WIDTH = 80,
	MOST_LINES = 50,
	KIND_WIDTH = 21,
	PLACE_WIDTH = 28,
	SUITE_WIDTH = 15,
	LINE_ROOM = 4096
};

#define RED "\033[31m"
#define YELLOW "\033[33m"
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

struct page {
	const struct run *run;
	bool colour;
	FILE *out;
};

bool text_report_colour(FILE *out)
{
	const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return isatty(fileno(out)) && (!no_color || !*no_color) &&
	       !(terminal && strcmp(terminal, "dumb") == 0);
}

/* ---- Characters: UTF-8, each taken for one column ---- */

static bool begins_character(char byte)
{
	return ((unsigned char)byte & 0xc0) != 0x80;
}

static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += begins_character(*text);
	return width;
}

static const char *after(const char *text, size_t characters)
{
	for (; *text; text++)
		if (begins_character(*text) && characters-- == 0)
			break;
	return text;
}

/* On one line and not too wide: what is in the middle gives way, of a path its begin. To be freed. */
static char *fit(const char *text, size_t width)
{
	char *clean = annotation_text(text), *fitted = NULL;

	if (!clean)
		return NULL;
	for (char *at = clean; *at; at++)
		if (*at == '\n' || *at == '\t')
			*at = ' ';
	size_t has = width_of(clean);
	if (has <= width)
		return clean;
	size_t left = strchr(clean, '/') ? 0 : (width - 3) / 3, right = width - 3 - left;
	int made = asprintf(&fitted, "%.*s...%s", (int)(after(clean, left) - clean), clean,
	    after(clean, has - right));
	free(clean);
	return made < 0 ? NULL : fitted;
}

static void write_fitted(const struct page *page, const char *text, size_t width, bool pad)
{
	char *fitted = fit(text, width);
	size_t has = fitted ? width_of(fitted) : 0;

	fputs(fitted ? fitted : "", page->out);
	if (pad && has < width)
		fprintf(page->out, "%*s", (int)(width - has), "");
	free(fitted);
}

/* A line of its own, or several: words go to the next where there is no more room. */
static void __attribute__((format(printf, 3, 4)))
write_words(const struct page *page, const char *indent, const char *format, ...)
{
	char text[LINE_ROOM];
	va_list arguments;
	size_t column = strlen(indent);

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	char *clean = annotation_text(text), *rest = clean, *word;
	fputs(indent, page->out);
	for (bool first = true; (word = strsep(&rest, " \n\t")); first = false) {
		size_t width = width_of(word);

		if (!first && column + 1 + width > WIDTH) {
			fprintf(page->out, "\n%s  ", indent);
			column = strlen(indent) + 2;
		} else if (!first) {
			putc(' ', page->out);
			column++;
		}
		size_t room = WIDTH - column;
		write_fitted(page, word, room, false);
		column += width < room ? width : room;
	}
	putc('\n', page->out);
	free(clean);
}

static void set_colour(const struct page *page, const char *colour)
{
	if (page->colour)
		fputs(colour, page->out);
}

/* ---- Totals ---- */

static const char *plural(unsigned long count)
{
	return count == 1 ? "" : "s";
}

static unsigned long count_of(const struct run *run, enum finding_kind kind)
{
	unsigned long count = 0;

	for (size_t i = 0; i < run->finding_count; i++)
		if (run->findings[i].kind == kind)
			count += run->findings[i].count;
	return count;
}

static void write_totals(const struct page *page)
{
	const struct run *run = page->run;
	char kinds[1024] = "";
	size_t length = 0;

	for (int kind = 0; kind < FINDING_KINDS; kind++) {
		unsigned long count = count_of(run, (enum finding_kind)kind);

		if (count > 0)
			length +=
			    (size_t)snprintf(kinds + length, sizeof kinds - length, "%s%lu %s",
				length ? ", " : "", count, finding_name((enum finding_kind)kind));
	}
	set_colour(page, BOLD);
	write_words(page, "", "pqleash: %s; %zu connection%s in %zu process%s",
	    length ? kinds : "nothing leaked", run->session_count, plural(run->session_count),
	    run->process_count, run->process_count == 1 ? "" : "es");
	if (run->finding_count > 0 || run->most_sessions > run->limit)
		write_words(page, "",
		    "pqleash: the program held up to %lu connection%s at once; %lu sufficed "
		    "(limit %lu)",
		    run->most_sessions, plural(run->most_sessions), run->most_backends, run->limit);
	set_colour(page, PLAIN);
}

/* ---- Findings ---- */

static const char *duration(int64_t ms, char buffer[32])
{
	if (ms <= 0)
		return "";
	if (ms < 10000)
		snprintf(buffer, 32, "%.1f s", (double)ms / 1000);
	else if (ms < 600000)
		snprintf(buffer, 32, "%lld s", (long long)ms / 1000);
	else if (ms < 36000000)
		snprintf(buffer, 32, "%lld min", (long long)ms / 60000);
	else if (ms < 360000000000)
		snprintf(buffer, 32, "%lld h", (long long)ms / 3600000);
	else
		snprintf(buffer, 32, "> 9 y");
	return buffer;
}

/* "tests/a.c:12", "connect_db", "run_tests+0x1f", or the test. To be freed. */
static char *place_text(const struct place *place, const char *otherwise)
{
	char *path = place && place->file ? annotation_path(place->file) : NULL, *text = NULL;
	const char *module = place && place->module ? place->module : "?";
	const char *slash = strrchr(module, '/');
	int made;

	if (path && place->line > 0)
		made = asprintf(&text, "%s:%d", path, place->line);
	else if (place && place->function)
		made = asprintf(&text, "%s", place->function);
	else if (place)
		made = asprintf(&text, "%s+0x%llx", slash ? slash + 1 : module,
		    (unsigned long long)place->offset);
	else
		made = asprintf(&text, "%s", otherwise);
	free(path);
	return made < 0 ? NULL : text;
}

/* A suite that is a source file is in the place already. */
static void write_where(const struct page *page, const char *place, const char *suite, bool pad)
{
	size_t length = strlen(suite);

	if (length == 0 || (strncmp(place, suite, length) == 0 && strchr(":", place[length]))) {
		write_fitted(page, place, PLACE_WIDTH + 1 + SUITE_WIDTH, pad);
		return;
	}
	write_fitted(page, place, PLACE_WIDTH, true);
	putc(' ', page->out);
	write_fitted(page, suite, SUITE_WIDTH, pad);
}

static void write_finding(const struct page *page, const struct finding *finding)
{
	char held[32], *place = place_text(finding_place(finding),
			   finding->test ? finding->test : finding->program);

	set_colour(page, annotation_is_error(finding->kind) ? RED : YELLOW);
	if (finding->count < 100000)
		fprintf(page->out, "%5lu ", finding->count);
	else if (finding->count < 10000000)
		fprintf(page->out, "%4luk ", finding->count / 1000);
	else
		fputs(" many ", page->out);
	write_fitted(page, finding_name(finding->kind), KIND_WIDTH, true);
	set_colour(page, PLAIN);
	putc(' ', page->out);
	write_where(
	    page, place ? place : "", finding->suite ? finding->suite : "", finding->held_ms > 0);
	free(place);
	if (finding->held_ms > 0)
		fprintf(page->out, " %s", duration(finding->held_ms, held));
	putc('\n', page->out);
}

/* The second place of a misuse, and what else there is to say. */
static void write_more(const struct page *page, const struct finding *finding)
{
	if (finding->other) {
		struct finding finished = {.where = finding->other, .test = finding->test};
		char *text = place_text(finding_place(&finished), "");

		if (text && *text)
			write_words(page, "        ", "finished at %s", text);
		free(text);
	}
	if (finding->details)
		write_words(page, "        ", "%s", finding->details);
}

static void write_findings(const struct page *page)
{
	const struct run *run = page->run;
	size_t shown = 0, accepted = 0, hidden = 0;

	for (size_t i = 0; i < run->finding_count; i++) {
		const struct finding *finding = &run->findings[i];

		if (finding->accepted)
			accepted++;
		else if (shown == MOST_LINES)
			hidden++;
		else {
			if (shown++ == 0)
				fprintf(page->out, "%5s %-*s %-*s %-*s %s\n", "count", KIND_WIDTH,
				    "what", PLACE_WIDTH, "where", SUITE_WIDTH, "suite", "open");
			write_finding(page, finding);
			write_more(page, finding);
		}
	}
	if (hidden > 0)
		fprintf(
		    page->out, "      and at %zu more places: --html or --json has them\n", hidden);
	if (accepted > 0)
		fprintf(page->out, "pqleash: at %zu place%s the findings are known (baseline)\n",
		    accepted, plural(accepted));
}

bool text_report(const struct run *run, bool colour, FILE *out)
{
	struct page page = {.run = run, .colour = colour, .out = out};

	if (run->unseen)
		write_words(&page, "", "pqleash: nothing was intercepted: %s", run->unseen);
	else
		write_totals(&page);
	write_findings(&page);
	for (size_t i = 0; i < run->problem_count; i++)
		write_words(&page, "", "pqleash: %s", run->problems[i]);
	return fflush(out) == 0 && !ferror(out);
}
