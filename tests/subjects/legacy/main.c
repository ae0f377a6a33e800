/*
 * The legacy test program: runs all suites, or those named as arguments, against the database
 * that the environment (PGHOST, PGDATABASE, ...) points to.
 *
 * usage: legacy [--list] [suite ...]
 */
#include <stdio.h>
#include <string.h>

#include "suites.h"

/* In this order since the beginning; the last ones want to be last. */
static const struct suite *const suites[] = {
    &accounts_suite,
    &customers_suite,
    &orders_suite,
    &catalog_suite,
    &tenants_suite,
    &inventory_suite,
    &pricing_suite,
    &preferences_suite,
    &reports_suite,
    &notifications_suite,
    &jobs_suite,
    &imports_suite,
    &archive_suite,
    &constraints_suite,
    &ledger_suite,
    &search_suite,
    &transfers_suite,
    &billing_suite,
    &shipments_suite,
    &dashboard_suite,
    &logins_suite,
    &cleanup_suite,
};

#define SUITE_COUNT ((int)(sizeof(suites) / sizeof(suites[0])))

static const struct suite *find_suite(const char *name)
{
	for (int i = 0; i < SUITE_COUNT; i++)
		if (strcmp(suites[i]->name, name) == 0)
			return suites[i];
	return NULL;
}

static int list_suites(void)
{
	int checks = 0;

	for (int i = 0; i < SUITE_COUNT; i++) {
		printf("%-16s %4d\n", suites[i]->name, suites[i]->planned);
		checks += suites[i]->planned;
	}
	printf("%d checks in %d suites\n", checks, SUITE_COUNT);
	return 0;
}

static int run_named(char **names)
{
	for (char **name = names; *name; name++) {
		if (!find_suite(*name)) {
			fprintf(stderr, "legacy: no suite named \"%s\" (see --list)\n", *name);
			return 2;
		}
	}
	for (char **name = names; *name; name++)
		harness_run(find_suite(*name));
	return harness_summary();
}

int main(int argc, char **argv)
{
	/* Whatever happens later, what was printed so far has been seen. */
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);

	if (argc == 2 && strcmp(argv[1], "--list") == 0)
		return list_suites();
	if (argc > 1)
		return run_named(argv + 1);
	for (int i = 0; i < SUITE_COUNT; i++)
		harness_run(suites[i]);
	return harness_summary();
}
