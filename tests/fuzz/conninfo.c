/*
 * Connection strings and URIs, in every way that a program has to say them, through the real libpq.
 * Never connects. What libpq takes for a request we must take, too, and what we make of it libpq
 * must read back with the same values.
 */
#include "libpq.h"
#include "target.h"
#include "text.h"
#include "uri.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	/* What it says of odd values is not looked at here. */
	return setenv("HOME", "/nonexistent", 1);
}

static const char *value_of(const PQconninfoOption *options, const char *keyword)
{
	for (; options->keyword; options++)
		if (strcmp(options->keyword, keyword) == 0)
			return options->val;
	return NULL;
}

/* Every value that libpq finds in the one it finds in the other. */
static void compare(const char *asked, const char *made)
{
	PQconninfoOption *wanted = REAL(PQconninfoParse)(asked, NULL);
	PQconninfoOption *found = REAL(PQconninfoParse)(made, NULL);

	if (!wanted || !found)
		abort();
	for (PQconninfoOption *option = wanted; option->keyword; option++) {
		const char *value = value_of(found, option->keyword);

		if (option->val && strcmp(option->keyword, "connect_timeout") != 0 &&
		    (!value || strcmp(value, option->val) != 0))
			abort();
	}
	REAL(PQconninfoFree)(wanted);
	REAL(PQconninfoFree)(found);
}

static void find(const struct request *request, const char *stripped)
{
	bool starved;
	struct target *target = target_find(request, &starved);

	if (starved)
		abort();
	if (target && stripped)
		compare(stripped, target_conninfo(target));
	target_release(target);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *conninfo = strndup((const char *)bytes, size), *stripped = target_strip(conninfo);
	PQconninfoOption *options = REAL(PQconninfoParse)(stripped, NULL);
	const char *const keywords[] = {"user", "dbname", "password", NULL};
	const char *const values[] = {"somebody", conninfo, conninfo, NULL};

	if (strlen(stripped) > strlen(conninfo))
		abort();
	find(&(struct request){.conninfo = conninfo}, options ? stripped : NULL);
	find(&(struct request){.keywords = keywords, .values = values, .expand_dbname = 1}, NULL);
	find(&(struct request){.login = true, .dbname = conninfo, .password = conninfo}, NULL);
	REAL(PQconninfoFree)(options);
	text_wipe(stripped);
	free(conninfo);
	return 0;
}
