/*
 * What is made of a run. Owns which reports go where, and the exit status. The text goes to stderr
 * when a program was run, whose stdout is its own; else to stdout, unless another report does.
 */
#include "report.h"
#include "complain.h"
#include "findings.h"
#include "gate.h"
#include "github_report.h"
#include "html_report.h"
#include "json_report.h"
#include "junit_report.h"
#include "reading.h"
#include "sarif_report.h"
#include "text_report.h"
#include "unseen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* valgrind's --error-exitcode has no default; ours is not used by shells, env or test runners. */
#define DEFAULT_ERROR_EXITCODE 86

static struct gate gate;
static struct baseline *baseline;

static void prepare_baseline(const struct wanted *wanted)
{
	char *problem = NULL;

	if (!wanted->baseline)
		return;
	if (wanted->write_baseline && access(wanted->baseline, F_OK) != 0 && errno == ENOENT)
		return;
	baseline = baseline_read(wanted->baseline, &problem);
	if (!baseline)
		refuse("%s", problem ? problem : "no memory for the baseline");
}

void report_prepare(struct wanted *wanted)
{
	const char *wrong;
	size_t length;

	if (wanted->write_baseline && !wanted->baseline)
		refuse("--write-baseline needs --baseline FILE" SEE_HELP);
	gate_default(&gate);
	if (wanted->fail_on && !gate_parse(&gate, wanted->fail_on, &wrong, &length))
		refuse("--fail-on \"%s\" is not valid; allowed are %s",
		    show_part(wrong, length).text, gate_names());
	prepare_baseline(wanted);
	if (wanted->error_exitcode == 0 && (wanted->fail_on || wanted->baseline))
		wanted->error_exitcode = DEFAULT_ERROR_EXITCODE;
}

/* ---- Reports ---- */

typedef bool render_function(const struct run *run, FILE *out);

/* False when it could not be written: told. */
static bool write_report(render_function *render, const struct run *run, const char *path)
{
	bool to_stdout = strcmp(path, "-") == 0;
	FILE *out = to_stdout ? stdout : fopen(path, "we");

	if (out && render(run, out) && (to_stdout || fclose(out) == 0))
		return true;
	complain("cannot write %s: %s", to_stdout ? "to stdout" : show(path).text, strerror(errno));
	return false;
}

static bool write_all(const struct wanted *wanted, const struct run *run)
{
	const struct {
		const char *path;
		render_function *render;
	} reports[] = {{wanted->json, json_report}, {wanted->junit, junit_report},
	    {wanted->sarif, sarif_report}, {wanted->html, html_report},
	    {wanted->github ? "-" : NULL, github_report}};
	bool good = true;

	for (size_t i = 0; i < sizeof reports / sizeof *reports; i++)
		if (reports[i].path)
			good &= write_report(reports[i].render, run, reports[i].path);
	return good;
}

static bool is_stdout(const char *path)
{
	return path && strcmp(path, "-") == 0;
}

static bool write_text(const struct wanted *wanted, const struct run *run, bool ran)
{
	FILE *out = ran ? stderr : stdout;

	if (!ran && (wanted->github || is_stdout(wanted->json) || is_stdout(wanted->junit) ||
			is_stdout(wanted->sarif) || is_stdout(wanted->html)))
		return true;
	return text_report(run, text_report_colour(out), out);
}

/* ---- The gate ---- */

static bool apply_baseline(const struct wanted *wanted, struct run *run)
{
	char *problem = NULL;
	size_t stale = baseline ? baseline_apply(baseline, run) : 0;

	for (size_t i = 0; i < stale && !wanted->write_baseline; i++)
		complain("%s: no such finding any more: %s", show(wanted->baseline).text,
		    show(baseline_stale(baseline, i)).text);
	if (!wanted->write_baseline || baseline_write(wanted->baseline, baseline, run, &problem))
		return true;
	complain("%s", problem ? problem : "no memory for the baseline");
	free(problem);
	return false;
}

static int judge(const struct wanted *wanted, const struct run *run, int status)
{
	unsigned long failures = wanted->error_exitcode ? gate_failures(&gate, run) : 0;

	if (status != 0 || failures == 0)
		return status;
	complain("%lu %s the run: exit status %d", failures,
	    failures == 1 ? "finding fails" : "findings fail", wanted->error_exitcode);
	return wanted->error_exitcode;
}

int report_make(
    const struct wanted *wanted, const struct trace_folder *folder, const char *program, int status)
{
	struct reading reading = {0};
	struct run run = {0};
	const char *problem;

	if (!traces_read(folder->path, folder->began_ms, &reading, &problem)) {
		complain("no traces: %s", problem);
		return status ? status : STATUS_REFUSED;
	}
	findings_make(&reading, &run);
	if (run.session_count == 0)
		run.unseen =
		    program ? unseen_reason(program) : "no trace in that folder has any connection";
	bool good = apply_baseline(wanted, &run);
	good &= write_all(wanted, &run);
	good &= write_text(wanted, &run, program != NULL);
	status = judge(wanted, &run, status);
	return status == 0 && !good ? STATUS_REFUSED : status;
}
