/* Anything as a trace: what is read of it becomes findings, and nothing of it may do harm. */
#include "findings.h"
#include "forgetful.h"
#include "reading.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct reading reading = {0};
	struct run run = {0};
	const char *problem = NULL;

	one_file("program.1.1700000000000.jsonl", bytes, size);
	if (!traces_read(its_folder(), 0, &reading, &problem))
		abort();
	findings_make(&reading, &run);
	for (size_t i = 0; i < run.finding_count; i++)
		if (!run.findings[i].key || run.findings[i].count == 0)
			abort();
	forget();
	return 0;
}
