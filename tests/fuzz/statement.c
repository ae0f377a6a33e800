/*
 * Any text as SQL. A custom setting's name that is remembered goes into our own queries within
 * quotes: it may hold nothing that ends them.
 */
#include "statement.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static size_t checked;
	static const char harmless[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789_$.";
	char *query = strndup((const char *)bytes, size);

	statement_scan(query);
	for (; checked < custom_count(); checked++) {
		const char *name = custom_name(checked);

		if (strspn(name, harmless) != strlen(name) || !strchr(name, '.'))
			abort();
	}
	free(query);
	return 0;
}
