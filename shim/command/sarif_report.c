/*
 * The findings as SARIF 2.1.0: a rule per kind, a result per finding. Paths are relative to the root of
 * the source tree, so that a code host shows a result on its line; fingerprints have no line numbers, so
 * that it recognises the result after an edit above it.
 */
#include "sarif_report.h"
#include "github_report.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SCHEMA "https://json.schemastore.org/sarif-2.1.0.json"
#define ROOT "%SRCROOT%"

typedef struct json_object json;

struct rule {
	const char *short_text, *full_text, *help;
};

static const struct rule rules[FINDING_KINDS] = {
    [FINDING_LEAKED] = {"A connection was never finished.",
	"The connection was still open when its process ended.",
	"Call PQfinish in the clean-up of the suite that opened it."},
    [FINDING_USED_AFTER_FINISH] = {"A connection was used after it was finished.",
	"PQfinish was called on the connection, and a later call used it.",
	"Finish it in the suite that opened it, after its last use; do not share it between "
	"suites."},
    [FINDING_FINISHED_TWICE] = {"A connection was finished twice.",
	"PQfinish was called on a connection that had been finished before.",
	"Let one owner finish it, and set the pointer to NULL afterwards."},
    [FINDING_TRANSACTION_LEFT_OPEN] = {"A transaction was left open.",
	"The connection was finished, or its process ended, within a transaction.",
	"COMMIT or ROLLBACK before PQfinish, on error paths too."},
    [FINDING_POOL_EXHAUSTED] = {"No backend could be had.",
	"All backends of the pool were held by connections that could not be moved.",
	"Finish connections that are not used any more, or raise PQLEASH_LIMIT."},
    [FINDING_RECLAIMED] = {"A connection lost its backend.",
	"The connection looked abandoned, and its backend was given to another one.",
	"Finish connections that are not used any more."},
    [FINDING_OUTLIVED_SUITE] = {"A connection outlived its suite.",
	"The connection was still open after the suite that opened it had ended.",
	"Finish it in the clean-up of that suite."},
    [FINDING_FAILED_NEVER_FINISHED] = {"A failed connection was never finished.",
	"Connecting failed, and PQfinish was not called: libpq's memory and socket stay.",
	"Call PQfinish after a failed connect too."},
};

static json *new_text(const char *text)
{
	char *clean = annotation_text(text);
	json *string = json_object_new_string(clean ? clean : "");

	free(clean);
	return string;
}

static void add_text(json *object, const char *key, const char *text)
{
	if (text)
		json_object_object_add(object, key, new_text(text));
}

static void add_number(json *object, const char *key, int64_t number)
{
	json_object_object_add(object, key, json_object_new_int64(number));
}

static json *add_object(json *object, const char *key)
{
	json *added = json_object_new_object();

	json_object_object_add(object, key, added);
	return added;
}

static json *add_array(json *object, const char *key)
{
	json *added = json_object_new_array();

	json_object_object_add(object, key, added);
	return added;
}

static json *append_object(json *array)
{
	json *added = json_object_new_object();

	json_object_array_add(array, added);
	return added;
}

/* The schema's message object. */
static void add_message(json *object, const char *key, const char *text)
{
	add_text(add_object(object, key), "text", text ? text : "");
}

/* "used-after-finish" */
static void rule_id(enum finding_kind kind, char id[64])
{
	snprintf(id, 64, "%s", finding_name(kind));
	for (char *at = id; (at = strchr(at, ' '));)
		*at = '-';
}

static const char *level_of(enum finding_kind kind)
{
	return annotation_is_error(kind) ? "error" : "warning";
}

static void add_rules(json *driver)
{
	json *array = add_array(driver, "rules");

	for (int kind = 0; kind < FINDING_KINDS; kind++) {
		json *rule = append_object(array);
		char id[64];

		rule_id(kind, id);
		add_text(rule, "id", id);
		add_message(rule, "shortDescription", rules[kind].short_text);
		add_message(rule, "fullDescription", rules[kind].full_text);
		add_message(rule, "help", rules[kind].help);
		add_text(add_object(rule, "defaultConfiguration"), "level", level_of(kind));
	}
}

/* Percent-encoded; a file outside the source tree has a URI of its own. */
static void add_artifact(json *physical, const char *file)
{
	static const char plain[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
	json *artifact = add_object(physical, "artifactLocation");
	char *path = annotation_path(file), *uri = NULL;
	size_t length;
	FILE *out = path ? open_memstream(&uri, &length) : NULL;

	if (out) {
		fputs(path[0] == '/' ? "file://" : "", out);
		for (const char *at = path; *at; at++)
			fprintf(out, strchr(plain, *at) ? "%c" : "%%%02X", (unsigned char)*at);
		fclose(out);
		add_text(artifact, "uri", uri);
		if (path[0] != '/')
			add_text(artifact, "uriBaseId", ROOT);
	}
	free(path);
	free(uri);
}

static void fill_location(json *location, const struct place *place)
{
	if (place->file || place->module) {
		json *physical = add_object(location, "physicalLocation");

		add_artifact(physical, place->file ? place->file : place->module);
		if (place->file && place->line > 0)
			add_number(add_object(physical, "region"), "startLine", place->line);
	}
	if (place->function) {
		json *logical = append_object(add_array(location, "logicalLocations"));

		add_text(logical, "name", place->function);
		add_text(logical, "fullyQualifiedName", place->function);
		add_text(logical, "kind", "function");
	}
}

static void fill_stack(json *object, const char *message, const struct stack *stack)
{
	add_message(object, "message", message);
	json *frames = add_array(object, "frames");

	for (size_t i = 0; i < stack->count; i++) {
		json *frame = append_object(frames);

		fill_location(add_object(frame, "location"), &stack->places[i]);
		add_text(frame, "module", stack->places[i].module);
	}
}

/* The place of a stack that a person would look at. */
static const struct place *place_of(const struct finding *finding, const struct stack *stack)
{
	struct finding elsewhere = *finding;

	elsewhere.where = stack;
	return finding_place(&elsewhere);
}

static void add_step(json *steps, const char *text, const struct place *place)
{
	json *location = add_object(append_object(steps), "location");

	if (place)
		fill_location(location, place);
	add_message(location, "message", text);
}

/* What a code host shows as steps: it was finished there, and then this happened here. */
static void add_code_flow(json *result, const struct finding *finding)
{
	json *flow = append_object(add_array(result, "codeFlows"));
	json *steps = add_array(append_object(add_array(flow, "threadFlows")), "locations");

	add_step(steps, "Finished here.", place_of(finding, finding->other));
	add_step(steps,
	    finding->kind == FINDING_FINISHED_TWICE ? "Finished again here." : "Used here.",
	    finding_place(finding));
}

static void add_stacks(json *result, const struct finding *finding)
{
	if (!finding->where && !finding->other)
		return;
	json *stacks = add_array(result, "stacks");

	if (finding->where)
		fill_stack(append_object(stacks), "Where it happened.", finding->where);
	if (finding->other) {
		fill_stack(append_object(stacks), "Where it was finished.", finding->other);
		add_code_flow(result, finding);
	}
}

/* FNV-1a; the ending zero keeps "a", "bc" and "ab", "c" apart. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
	const char *at = text ? text : "";

	do
		hash = (hash ^ (unsigned char)*at) * 0x100000001b3;
	while (*at++);
	return hash;
}

static uint64_t fingerprint_of(const struct finding *finding)
{
	const struct place *place = finding_place(finding);
	const char *function = place ? place->function : NULL;
	const char *file = place && place->file ? strrchr(place->file, '/') : NULL;
	uint64_t hash = hash_text(0xcbf29ce484222325, finding_name(finding->kind));

	hash = hash_text(hash, finding->program);
	hash = hash_text(hash, finding->suite);
	hash = hash_text(hash, function);
	return hash_text(hash, file ? file + 1 : place ? place->file : NULL);
}

/* Two findings in one function are told apart by their order. */
static void add_fingerprint(json *result, const uint64_t *fingerprints, size_t index)
{
	unsigned nth = 1;
	char text[64];

	for (size_t i = 0; i < index; i++)
		nth += fingerprints[i] == fingerprints[index];
	snprintf(text, sizeof text, "%016llx:%u", (unsigned long long)fingerprints[index], nth);
	add_text(add_object(result, "partialFingerprints"), "pqleash/v1", text);
}

static void add_properties(json *result, const struct finding *finding)
{
	json *properties = add_object(result, "properties");

	add_text(properties, "program", finding->program);
	add_text(properties, "suite", finding->suite);
	add_text(properties, "test", finding->test);
	add_text(properties, "target", finding->target);
	add_text(properties, "details", finding->details);
	add_number(properties, "heldMilliseconds", finding->held_ms);
}

static void add_suppression(json *result)
{
	json *suppression = append_object(add_array(result, "suppressions"));

	add_text(suppression, "kind", "external");
	add_text(suppression, "justification", "The baseline accepts it.");
}

static void fill_result(json *result, const struct finding *finding)
{
	const struct place *place = finding_place(finding);
	char *sentence = annotation_sentence(finding), id[64];

	rule_id(finding->kind, id);
	add_text(result, "ruleId", id);
	add_number(result, "ruleIndex", finding->kind);
	add_text(result, "level", level_of(finding->kind));
	add_message(result, "message", sentence);
	add_number(result, "occurrenceCount", finding->count ? (int64_t)finding->count : 1);
	json *locations = add_array(result, "locations");
	if (place)
		fill_location(append_object(locations), place);
	add_stacks(result, finding);
	add_properties(result, finding);
	if (finding->accepted)
		add_suppression(result);
	free(sentence);
}

static void add_time(json *object, const char *key, int64_t ms)
{
	time_t seconds = ms / 1000;
	char text[sizeof "YYYY-MM-DDThh:mm:ssZ"];
	struct tm utc;

	if (gmtime_r(&seconds, &utc) && strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc))
		add_text(object, key, text);
}

static void add_invocation(json *object, const struct run *run)
{
	json *invocation = append_object(add_array(object, "invocations"));

	json_object_object_add(invocation, "executionSuccessful", json_object_new_boolean(true));
	add_time(invocation, "startTimeUtc", run->began_ms);
	add_time(invocation, "endTimeUtc", run->ended_ms);
	json *notifications = add_array(invocation, "toolExecutionNotifications");
	for (size_t i = 0; i < run->problem_count; i++) {
		json *notification = append_object(notifications);

		add_text(notification, "level", "warning");
		add_message(notification, "message", run->problems[i]);
	}
}

/* Everything but the results, which are too many to hold at once. */
static json *new_run(const struct run *run)
{
	json *object = json_object_new_object();
	json *driver = add_object(add_object(object, "tool"), "driver");

	add_text(driver, "name", "pqleash");
	add_rules(driver);
	add_invocation(object, run);
	json *root = add_object(add_object(object, "originalUriBaseIds"), ROOT);
	add_message(root, "description", "The root of the source tree.");
	add_text(object, "columnKind", "utf16CodeUnits");
	return object;
}

static bool write_json(json *object, FILE *out)
{
	const char *text = json_object_to_json_string_ext(
	    object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	bool written = text && fputs(text, out) >= 0;

	json_object_put(object);
	return written;
}

static bool write_results(const struct run *run, FILE *out)
{
	uint64_t *fingerprints = calloc(run->finding_count + 1, sizeof *fingerprints);
	bool written = fingerprints != NULL;

	for (size_t i = 0; written && i < run->finding_count; i++) {
		json *result = json_object_new_object();

		fingerprints[i] = fingerprint_of(&run->findings[i]);
		fill_result(result, &run->findings[i]);
		add_fingerprint(result, fingerprints, i);
		fputs(i == 0 ? "\n" : ",\n", out);
		written = write_json(result, out);
	}
	free(fingerprints);
	return written;
}

/* The results go into the run's object, before the brace that ends it. */
bool sarif_report(const struct run *run, FILE *out)
{
	json *object = new_run(run);
	size_t length;
	const char *text = json_object_to_json_string_length(
	    object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);
	bool written = text != NULL;

	if (written) {
		fprintf(out, "{\"$schema\":\"%s\",\"version\":\"2.1.0\",\"runs\":[\n", SCHEMA);
		fwrite(text, 1, length - 1, out);
		fputs(",\"results\":[", out);
		written = write_results(run, out);
		fputs("]}]}\n", out);
	}
	json_object_put(object);
	return written && fflush(out) == 0 && !ferror(out);
}
