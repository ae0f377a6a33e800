/*
 * The run as JUnit XML, in the form that both common schemas allow (tests/schemas): one test suite, a test
 * case for each suite of each program, failed by what fails a run by default unless the baseline accepts
 * it. What else was found is in system-out, what could not be read in system-err.
 */
#include "junit_report.h"
#include "github_report.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A suite of a program, and the findings that are its own. */
struct test_case {
	const char *program, *suite;
	int64_t from_ms, to_ms; /* of its sessions */
	size_t first, count;    /* in the sorted findings */
	bool fails;
};

/* What names a test case, on the way to be sorted. */
struct entry {
	const char *program, *suite;
	const struct session *session; /* NULL for a finding */
	const struct finding *finding;
	size_t order;
};

struct report {
	struct entry *entries;
	size_t entry_count;
	struct test_case *cases;
	size_t case_count, failures;
};

static const char *or_unknown(const char *name)
{
	return name && *name ? name : "unknown";
}

static int compare_names(const struct entry *left, const struct entry *right)
{
	int order = strcmp(left->program, right->program);

	return order ? order : strcmp(left->suite, right->suite);
}

static int compare_entries(const void *left, const void *right)
{
	const struct entry *one = left, *other = right;
	int order = compare_names(one, other);

	return order ? order : one->order < other->order ? -1 : 1;
}

static void add_entry(struct report *report, const char *program, const char *suite,
    const struct session *session, const struct finding *finding)
{
	size_t order = report->entry_count++;

	report->entries[order] =
	    (struct entry){or_unknown(program), or_unknown(suite), session, finding, order};
}

static void count_entry(struct test_case *test_case, const struct entry *entry)
{
	const struct session *session = entry->session;

	if (!session) {
		const struct finding *finding = entry->finding;

		test_case->fails |= annotation_is_error(finding->kind) && !finding->accepted;
		return;
	}
	if (!test_case->to_ms || session->opened_ms < test_case->from_ms)
		test_case->from_ms = session->opened_ms;
	if (session->ended_ms > test_case->to_ms)
		test_case->to_ms = session->ended_ms;
}

/* Entries of one name stand together once they are sorted. */
static void make_cases(struct report *report)
{
	struct test_case *test_case = NULL;

	for (size_t i = 0; i < report->entry_count; i++) {
		const struct entry *entry = &report->entries[i];

		if (i == 0 || compare_names(&report->entries[i - 1], entry) != 0) {
			test_case = &report->cases[report->case_count++];
			*test_case = (struct test_case){entry->program, entry->suite, .first = i};
		}
		test_case->count++;
		count_entry(test_case, entry);
	}
	for (size_t i = 0; i < report->case_count; i++)
		report->failures += report->cases[i].fails;
}

static bool report_prepare(struct report *report, const struct run *run)
{
	size_t most = run->session_count + run->finding_count;

	report->entries = calloc(most + 1, sizeof *report->entries);
	report->cases = calloc(most + 1, sizeof *report->cases);
	if (!report->entries || !report->cases)
		return false;
	for (size_t i = 0; i < run->session_count; i++)
		add_entry(report, run->sessions[i].program, run->sessions[i].suite,
		    &run->sessions[i], NULL);
	for (size_t i = 0; i < run->finding_count; i++)
		add_entry(report, run->findings[i].program, run->findings[i].suite, NULL,
		    &run->findings[i]);
	qsort(report->entries, report->entry_count, sizeof *report->entries, compare_entries);
	make_cases(report);
	return true;
}

/* Fit for an attribute in double quotes and for text; a reader would turn a bare newline to a blank. */
static void write_xml(const char *text, bool in_attribute, FILE *out)
{
	char *clean = annotation_text(text);

	for (const char *at = clean ? clean : ""; *at; at++) {
		switch (*at) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		case '\n':
		case '\t':
			if (in_attribute) {
				fprintf(out, "&#%d;", *at);
				break;
			}
			/* fall through */
		default:
			putc(*at, out);
		}
	}
	free(clean);
}

static void write_attribute(const char *name, const char *value, FILE *out)
{
	fprintf(out, " %s=\"", name);
	write_xml(value, true, out);
	putc('"', out);
}

static void write_stack(const char *title, const struct stack *stack, FILE *out)
{
	for (size_t i = 0; stack && i < stack->count; i++) {
		fputs(i == 0 ? title : "      by ", out);
		annotation_frame(&stack->places[i], out);
		putc('\n', out);
	}
}

/* As plain text: to be escaped as a whole. */
static void write_finding(const struct finding *finding, FILE *out)
{
	char *sentence = annotation_sentence(finding);

	fprintf(out, "%s%s: %s\n", finding_name(finding->kind),
	    finding->accepted ? " (accepted by the baseline)" : "", sentence ? sentence : "");
	write_stack("  at ", finding->where, out);
	write_stack("  finished at ", finding->other, out);
	free(sentence);
}

static bool fails(const struct finding *finding)
{
	return annotation_is_error(finding->kind) && !finding->accepted;
}

/* All findings of the case that fail it, or all others. */
static void write_findings(
    const struct report *report, const struct test_case *test_case, bool failing, FILE *out)
{
	char *text = NULL;
	size_t length;
	FILE *plain = open_memstream(&text, &length);

	if (!plain)
		return;
	for (size_t i = 0; i < test_case->count; i++) {
		const struct finding *finding = report->entries[test_case->first + i].finding;

		if (finding && fails(finding) == failing)
			write_finding(finding, plain);
	}
	if (fclose(plain) == 0)
		write_xml(text, false, out);
	free(text);
}

/* The schemas allow one failure in a case: its kind is that of the worst finding. */
static const struct finding *worst_of(
    const struct report *report, const struct test_case *test_case)
{
	const struct finding *worst = NULL;

	for (size_t i = 0; i < test_case->count; i++) {
		const struct finding *finding = report->entries[test_case->first + i].finding;

		if (finding && fails(finding) && (!worst || finding->kind < worst->kind))
			worst = finding;
	}
	return worst;
}

static void write_case(const struct report *report, const struct test_case *test_case, FILE *out)
{
	fputs("\t\t<testcase", out);
	write_attribute("name", test_case->suite, out);
	write_attribute("classname", test_case->program, out);
	fprintf(out, " time=\"%.3f\"", (double)(test_case->to_ms - test_case->from_ms) / 1000);
	if (!test_case->fails) {
		fputs("/>\n", out);
		return;
	}
	const struct finding *worst = worst_of(report, test_case);
	char *sentence = annotation_sentence(worst);
	fputs(">\n\t\t\t<failure", out);
	write_attribute("type", finding_name(worst->kind), out);
	write_attribute("message", sentence, out);
	putc('>', out);
	free(sentence);
	write_findings(report, test_case, true, out);
	fputs("</failure>\n\t\t</testcase>\n", out);
}

static void write_properties(const struct run *run, FILE *out)
{
	const struct {
		const char *name;
		unsigned long value;
	} properties[] = {
	    {"processes", run->process_count},
	    {"sessions", run->session_count},
	    {"most sessions at once", run->most_sessions},
	    {"most backends at once", run->most_backends},
	    {"limit", run->limit},
	};

	fputs("\t\t<properties>\n", out);
	for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
		fprintf(out, "\t\t\t<property name=\"%s\" value=\"%lu\"/>\n", properties[i].name,
		    properties[i].value);
	fputs("\t\t</properties>\n", out);
}

/* One schema wants a timestamp without a zone: it is in UTC. */
static void write_head(const struct report *report, const struct run *run, FILE *out)
{
	time_t began = run->began_ms / 1000;
	char timestamp[sizeof "YYYY-MM-DDThh:mm:ss"] = "";
	struct tm utc;

	if (!gmtime_r(&began, &utc) ||
	    !strftime(timestamp, sizeof timestamp, "%Y-%m-%dT%H:%M:%S", &utc))
		strcpy(timestamp, "1970-01-01T00:00:00");
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n\t<testsuite "
	      "name=\"pqleash\" "
	      "package=\"\" id=\"0\" hostname=\"localhost\"",
	    out);
	write_attribute("timestamp", timestamp, out);
	fprintf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"0\" time=\"%.3f\">\n",
	    report->case_count, report->failures, (double)(run->ended_ms - run->began_ms) / 1000);
	write_properties(run, out);
}

static void write_tail(const struct report *report, const struct run *run, FILE *out)
{
	fputs("\t\t<system-out>", out);
	for (size_t i = 0; i < report->case_count; i++)
		write_findings(report, &report->cases[i], false, out);
	fputs("</system-out>\n\t\t<system-err>", out);
	for (size_t i = 0; i < run->problem_count; i++) {
		write_xml(run->problems[i], false, out);
		putc('\n', out);
	}
	fputs("</system-err>\n\t</testsuite>\n</testsuites>\n", out);
}

bool junit_report(const struct run *run, FILE *out)
{
	struct report report = {0};
	bool prepared = report_prepare(&report, run);

	if (prepared) {
		write_head(&report, run, out);
		for (size_t i = 0; i < report.case_count; i++)
			write_case(&report, &report.cases[i], out);
		write_tail(&report, run, out);
	}
	free(report.entries);
	free(report.cases);
	return prepared && fflush(out) == 0 && !ferror(out);
}
