/*
 * Anything as a baseline. One that is read, and written again for findings that it all accepts, is
 * read again and accepts them as before.
 */
#include "forgetful.h"
#include "gate.h"
#include "intern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A finding for each line that is no comment. */
static void make_run(struct run *run, const uint8_t *bytes, size_t size)
{
	char *text = keep(size + 1), *rest = text, *line;

	memcpy(text, bytes, size);
	while ((line = strsep(&rest, "\n"))) {
		if (!line[0] || line[0] == '#')
			continue;
		run->findings = grow(run->findings, run->finding_count, sizeof *run->findings);
		run->findings[run->finding_count++] = (struct finding){.key = intern(line)};
	}
}

static size_t accepted(struct run *run, const char *path)
{
	size_t count = 0;
	char *problem = NULL;
	struct baseline *baseline = baseline_read(path, &problem);

	if (!baseline)
		abort();
	for (size_t i = 0; i < run->finding_count; i++)
		run->findings[i].accepted = false;
	baseline_apply(baseline, run);
	for (size_t i = 0; i < run->finding_count; i++)
		count += run->findings[i].accepted;
	return count;
}

static void read_and_write(const uint8_t *bytes, size_t size)
{
	const char *path = one_file("baseline", bytes, size);
	struct run run = {0};
	char *problem = NULL;
	struct baseline *baseline = baseline_read(path, &problem);

	if (!baseline) {
		free(problem);
		return;
	}
	make_run(&run, bytes, size);
	baseline_apply(baseline, &run);
	size_t before = accepted(&run, path);
	if (!baseline_write(path, baseline, &run, &problem))
		abort();
	if (accepted(&run, path) != before)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *list = strndup((const char *)bytes, size);
	const char *wrong;
	size_t length;
	struct gate gate;

	gate_parse(&gate, list, &wrong, &length);
	free(list);
	read_and_write(bytes, size);
	forget();
	return 0;
}
