/*
 * Findings as annotations: GitHub's workflow commands, a line each, and the wording, paths and clean texts
 * that SARIF and JUnit share with them. Reads the run, writes to one stream; decides nothing about findings.
 */
#include "github_report.h"

#include <ctype.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FRAMES_SHOWN = 16 }; /* an annotation is cut off at 4 KiB */

bool annotation_is_error(enum finding_kind kind)
{
	switch (kind) {
	case FINDING_LEAKED:
	case FINDING_USED_AFTER_FINISH:
	case FINDING_FINISHED_TWICE:
	case FINDING_TRANSACTION_LEFT_OPEN:
	case FINDING_POOL_EXHAUSTED:
		return true;
	default:
		return false;
	}
}

/* What follows "3 connections" or "1 connection"; two forms where grammar wants them. */
static const char *const happened[FINDING_KINDS][2] = {
    [FINDING_LEAKED] = {"opened here was never finished", "opened here were never finished"},
    [FINDING_USED_AFTER_FINISH] = {"was used here after it was finished",
	"were used here after they were finished"},
    [FINDING_FINISHED_TWICE] = {"was finished here a second time",
	"were finished here a second time"},
    [FINDING_TRANSACTION_LEFT_OPEN] = {"was left with a transaction open",
	"were left with a transaction open"},
    [FINDING_POOL_EXHAUSTED] = {"found the pool exhausted here", "found the pool exhausted here"},
    [FINDING_RECLAIMED] = {"lost its backend to another one", "lost their backends to others"},
    [FINDING_OUTLIVED_SUITE] = {"opened here outlived its suite",
	"opened here outlived their suite"},
    [FINDING_FAILED_NEVER_FINISHED] = {"that failed to connect here was never finished",
	"that failed to connect here were never finished"},
};

char *annotation_sentence(const struct finding *finding)
{
	char *sentence = NULL;
	size_t length;
	FILE *out = open_memstream(&sentence, &length);

	if (!out)
		return NULL;
	fprintf(out, "%lu connection%s %s", finding->count, finding->count == 1 ? "" : "s",
	    happened[finding->kind][finding->count != 1]);
	fprintf(out, "; suite %s", finding->suite ? finding->suite : "unknown");
	if (finding->test)
		fprintf(out, ", test %s", finding->test);
	if (finding->held_ms > 0)
		fprintf(out, ", open for up to %.1f s", (double)finding->held_ms / 1000);
	if (finding->target)
		fprintf(out, ", target %s", finding->target);
	if (finding->details)
		fprintf(out, ": %s", finding->details);
	return fclose(out) == 0 ? sentence : (free(sentence), NULL);
}

void annotation_frame(const struct place *place, FILE *out)
{
	char *path = place->file ? annotation_path(place->file) : NULL;

	if (place->function && path && place->line > 0)
		fprintf(out, "%s (%s:%d)", place->function, path, place->line);
	else if (place->function && path)
		fprintf(out, "%s (%s)", place->function, path);
	else if (place->function)
		fprintf(out, "%s in %s", place->function, place->module ? place->module : "?");
	else
		fprintf(out, "%s+0x%llx", place->module ? place->module : "?",
		    (unsigned long long)place->offset);
	free(path);
}

/* Without "//", "/./" and "x/..", in place; a relative one may keep leading "..". */
static void simplify(char *path)
{
	char *const begin = path + (*path == '/');
	char *end = begin, *rest = begin, *part;

	while ((part = strsep(&rest, "/"))) {
		size_t length = strlen(part);
		char *last = end;

		while (last > begin && last[-1] != '/')
			last--;
		if (!length || strcmp(part, ".") == 0)
			continue;
		if (strcmp(part, "..") == 0 && end > begin &&
		    strncmp(last, "..", (size_t)(end - last)) != 0) {
			end = last > begin ? last - 1 : begin;
			continue;
		}
		if (end > begin)
			*end++ = '/';
		memmove(end, part, length);
		end += length;
	}
	*end = '\0';
}

/* The root of the source tree, without a slash at its end; looked for once. */
static const char *source_root(void)
{
	static char root[PATH_MAX], marker[PATH_MAX + sizeof "/.git"];
	const char *workspace = getenv("GITHUB_WORKSPACE");

	if (root[0])
		return root;
	if (workspace && workspace[0] == '/' && strlen(workspace) < sizeof root) {
		snprintf(root, sizeof root, "%s", workspace);
		simplify(root);
		return root;
	}
	if (!getcwd(root, sizeof root))
		return "/";
	for (size_t end = strlen(root); end > 0; end--) {
		if (root[end] != '/' && root[end] != '\0')
			continue;
		snprintf(marker, sizeof marker, "%.*s/.git", (int)end, root);
		if (access(marker, F_OK) == 0) {
			root[end] = '\0';
			break;
		}
	}
	return root;
}

char *annotation_path(const char *file)
{
	const char *root = source_root();
	size_t length = strlen(root);
	char here[PATH_MAX], *path;

	if (strncmp(file, "../", 3) == 0 && getcwd(here, sizeof here)) {
		if (asprintf(&path, "%s/%s", here, file) < 0)
			return NULL;
	} else if (!(path = strdup(file))) {
		return NULL;
	}
	simplify(path);
	if (strncmp(path, root, length) == 0 && path[length] == '/')
		memmove(path, path + length + 1, strlen(path + length + 1) + 1);
	return path;
}

/* Length of the well-formed UTF-8 character here that XML allows too; 0 where there is none. */
static size_t character_length(const unsigned char *at)
{
	size_t length = *at < 0x80   ? 1
			: *at < 0xc2 ? 0
			: *at < 0xe0 ? 2
			: *at < 0xf0 ? 3
			: *at < 0xf5 ? 4
				     : 0;
	uint32_t code = length > 1 ? *at & (0x7f >> length) : *at;

	for (size_t i = 1; i < length; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3f);
	}
	if (length == 1)
		return (code >= 0x20 && code != 0x7f) || code == '\t' || code == '\n';
	if (length == 2)
		return code >= 0xa0 ? 2 : 0; /* C1 controls */
	if (length == 3 && (code < 0x800 || (code >= 0xd800 && code < 0xe000) || code >= 0xfffe))
		return 0;
	if (length == 4 && (code < 0x10000 || code > 0x10ffff))
		return 0;
	return length;
}

char *annotation_text(const char *text)
{
	const unsigned char *at = (const unsigned char *)(text ? text : "");
	char *clean = malloc(3 * strlen((const char *)at) + 1), *end = clean;

	while (clean && *at) {
		size_t length = character_length(at);

		end = mempcpy(end, length ? (const char *)at : "\xef\xbf\xbd", length ? length : 3);
		at += length ? length : 1;
	}
	if (clean)
		*end = '\0';
	return clean;
}

/*
 * As the runner undoes it: data has %, CR and LF escaped, a property : and , too.
 * https://docs.github.com/actions/reference/workflow-commands-for-github-actions
 */
static void write_escaped(const char *text, const char *also, FILE *out)
{
	char *clean = annotation_text(text);

	for (const char *at = clean ? clean : ""; *at; at++) {
		if (*at == '%' || *at == '\n' || strchr(also, *at))
			fprintf(out, "%%%02X", (unsigned char)*at);
		else
			putc(*at, out);
	}
	free(clean);
}

static void write_property(const char *before, const char *text, FILE *out)
{
	fputs(before, out);
	write_escaped(text, ":,", out);
}

static void write_place(const struct place *place, FILE *out)
{
	char *path = place && place->file ? annotation_path(place->file) : NULL;

	if (path) {
		write_property("file=", path, out);
		if (place->line > 0)
			fprintf(out, ",line=%d", place->line);
		putc(',', out);
	}
	free(path);
}

/* Lines of one message: an escaped newline between them. */
static void write_stack(const char *title, const struct stack *stack, FILE *out)
{
	for (size_t i = 0; stack && i < stack->count && i < FRAMES_SHOWN; i++) {
		char *frame = NULL;
		size_t length;
		FILE *text = open_memstream(&frame, &length);

		if (!text)
			return;
		annotation_frame(&stack->places[i], text);
		if (fclose(text) == 0) {
			fprintf(out, "%%0A%s", i == 0 ? title : "    by ");
			write_escaped(frame, "", out);
		}
		free(frame);
	}
}

static void write_finding(const struct finding *finding, FILE *out)
{
	char *sentence = annotation_sentence(finding);

	fputs(annotation_is_error(finding->kind) ? "::error " : "::warning ", out);
	write_place(finding_place(finding), out);
	write_property("title=pqleash%3A ", finding_name(finding->kind), out);
	fputs("::", out);
	write_escaped(sentence, "", out);
	write_stack("at ", finding->where, out);
	write_stack("finished at ", finding->other, out);
	putc('\n', out);
	free(sentence);
}

bool github_report(const struct run *run, FILE *out)
{
	for (size_t i = 0; i < run->finding_count; i++)
		if (!run->findings[i].accepted)
			write_finding(&run->findings[i], out);
	return fflush(out) == 0 && !ferror(out);
}
