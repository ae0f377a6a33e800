/*
 * The gate and its baseline. Owns the baseline's file: a first line that says what it is, then a
 * line for each finding that is known, sorted, without line numbers, so that it can be kept in
 * version control and read in a review.
 */
#include "gate.h"
#include "github_report.h"
#include "intern.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#define FIRST_LINE "# pqleash baseline 1"
#define LARGEST_FILE ((off_t)64 << 20)

/* ---- Kinds ---- */

void gate_default(struct gate *gate)
{
	for (int kind = 0; kind < FINDING_KINDS; kind++)
		gate->fails[kind] = annotation_is_error((enum finding_kind)kind);
}

static bool is_name(const char *name, const char *typed, size_t length)
{
	if (strlen(name) != length)
		return false;
	for (size_t i = 0; i < length; i++)
		if ((typed[i] == '-' || typed[i] == '_' ? ' ' : typed[i]) != name[i])
			return false;
	return true;
}

static bool set(struct gate *gate, const char *typed, size_t length)
{
	bool all = is_name("all", typed, length), known = all || is_name("none", typed, length);

	for (int kind = 0; kind < FINDING_KINDS; kind++) {
		bool meant = is_name(finding_name((enum finding_kind)kind), typed, length);

		gate->fails[kind] |= all || meant;
		known |= meant;
	}
	return known;
}

bool gate_parse(struct gate *gate, const char *list, const char **wrong, size_t *length)
{
	*gate = (struct gate){0};
	for (const char *part = list;; part += *length + 1) {
		part += strspn(part, " ");
		*wrong = part;
		*length = strcspn(part, ",");
		if (!set(gate, part, *length))
			return false;
		if (!part[*length])
			return true;
	}
}

const char *gate_names(void)
{
	static char names[512];
	size_t length = 0;

	for (int kind = 0; kind < FINDING_KINDS && !names[sizeof names - 1]; kind++)
		length += (size_t)snprintf(names + length, sizeof names - length, "%s, ",
		    finding_name((enum finding_kind)kind));
	for (char *at = names; *at; at++)
		if (*at == ' ' && at > names && at[-1] != ',')
			*at = '-';
	snprintf(names + length, sizeof names - length, "all, none");
	return names;
}

unsigned long gate_failures(const struct gate *gate, const struct run *run)
{
	unsigned long failures = 0;

	for (size_t i = 0; i < run->finding_count; i++)
		failures += gate->fails[run->findings[i].kind] && !run->findings[i].accepted;
	return failures;
}

/* ---- The baseline ---- */

struct entry {
	UT_hash_handle hh;
	bool found; /* by baseline_apply */
	char key[];
};

struct baseline {
	struct entry *entries; /* in the order of the file */
	const char **stale;
	size_t stale_count;
};

static bool __attribute__((format(printf, 2, 3))) fail(char **problem, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(problem, format, arguments) < 0)
		*problem = NULL;
	va_end(arguments);
	for (char *at = *problem; at && *at; at++)
		if ((unsigned char)*at < ' ')
			*at = '?';
	return false;
}

static struct entry *find(const struct baseline *baseline, const char *key)
{
	struct entry *entry;

	HASH_FIND_STR(baseline->entries, key, entry);
	return entry;
}

static void add(struct baseline *baseline, const char *key)
{
	size_t length = strlen(key);

	if (find(baseline, key))
		return;
	struct entry *entry = keep(sizeof *entry + length + 1);
	memcpy(entry->key, key, length);
	HASH_ADD_STR(baseline->entries, key, entry);
}

/* "# pqleash baseline 1" and what may follow it, but not 12. */
static bool is_first_line(const char *line)
{
	size_t length = strlen(FIRST_LINE);

	return strncmp(line, FIRST_LINE, length) == 0 &&
	       !(line[length] >= '0' && line[length] <= '9');
}

static bool read_lines(struct baseline *baseline, FILE *file, const char *path, char **problem)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t length;
	bool good = true;

	for (unsigned long number = 1; good && (length = getline(&line, &room, file)) > 0;
	     number++) {
		bool whole = strlen(line) == (size_t)length; /* no NUL in it */

		line[strcspn(line, "\r\n")] = '\0';
		if (number == 1)
			good = is_first_line(line) ||
			       fail(problem, "%s: is no baseline of pqleash", path);
		else if (!whole || (line[0] && line[0] != '#' && !strchr(line, '|')))
			good = fail(problem, "%s: line %lu is no finding", path, number);
		else if (line[0] && line[0] != '#')
			add(baseline, line);
	}
	free(line);
	if (good && ferror(file))
		good = fail(problem, "%s: %s", path, strerror(EIO));
	return good;
}

/* Does not wait at a FIFO for somebody who writes into it. */
static FILE *open_file(const char *path)
{
	int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	FILE *file = descriptor >= 0 ? fdopen(descriptor, "r") : NULL;

	if (!file && descriptor >= 0)
		close(descriptor);
	return file;
}

struct baseline *baseline_read(const char *path, char **problem)
{
	struct baseline *baseline = keep(sizeof *baseline);
	FILE *file = open_file(path);
	struct stat found;
	bool good;

	if (!file) {
		fail(problem, "%s: %s", path, strerror(errno));
		return NULL;
	}
	if (fstat(fileno(file), &found) != 0 || !S_ISREG(found.st_mode))
		good = fail(problem, "%s: is not a file", path);
	else if (found.st_size > LARGEST_FILE)
		good = fail(problem, "%s: is larger than 64 MB", path);
	else if (found.st_size == 0)
		good = fail(problem, "%s: is empty", path);
	else
		good = read_lines(baseline, file, path, problem);
	fclose(file);
	return good ? baseline : NULL;
}

size_t baseline_apply(struct baseline *baseline, struct run *run)
{
	for (size_t i = 0; i < run->finding_count; i++) {
		struct entry *entry = find(baseline, run->findings[i].key);

		if (!entry)
			continue;
		entry->found = true;
		run->findings[i].accepted = true;
	}
	for (struct entry *entry = baseline->entries; entry; entry = entry->hh.next) {
		if (entry->found)
			continue;
		baseline->stale =
		    grow(baseline->stale, baseline->stale_count, sizeof *baseline->stale);
		baseline->stale[baseline->stale_count++] = entry->key;
	}
	return baseline->stale_count;
}

const char *baseline_stale(const struct baseline *baseline, size_t i)
{
	return baseline->stale[i];
}

static int by_key(const struct entry *one, const struct entry *other)
{
	return strcmp(one->key, other->key);
}

static bool write_file(const char *path, const struct baseline *baseline, char **problem)
{
	char *fresh;
	mode_t mask = umask(0);

	umask(mask);
	if (asprintf(&fresh, "%s.XXXXXX", path) < 0)
		return fail(problem, "no memory for the baseline");
	int descriptor = mkostemp(fresh, O_CLOEXEC);
	FILE *file = descriptor >= 0 ? fdopen(descriptor, "w") : NULL;
	bool good = file != NULL;
	if (good) {
		fputs(FIRST_LINE ": known findings; see pqleash --baseline\n", file);
		for (const struct entry *entry = baseline->entries; entry; entry = entry->hh.next)
			if (entry->found)
				fprintf(file, "%s\n", entry->key);
		good = fflush(file) == 0 && !ferror(file) && fsync(descriptor) == 0 &&
		       fchmod(descriptor, 0666 & ~mask) == 0;
		good = (fclose(file) == 0) && good && rename(fresh, path) == 0;
	}
	int reason = errno;
	if (!good && descriptor >= 0)
		unlink(fresh);
	free(fresh);
	return good || fail(problem, "cannot write %s: %s", path, strerror(reason));
}

bool baseline_write(const char *path, struct baseline *baseline, struct run *run, char **problem)
{
	struct baseline fresh = {0};

	if (!baseline) {
		for (size_t i = 0; i < run->finding_count; i++)
			add(&fresh, run->findings[i].key);
		baseline_apply(&fresh, run);
		baseline = &fresh;
	}
	HASH_SORT(baseline->entries, by_key);
	return write_file(path, baseline, problem);
}
