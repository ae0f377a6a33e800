/* Getting libpqleash.so into LD_PRELOAD. See ld_preload.c. */
#ifndef LD_PRELOAD_H
#define LD_PRELOAD_H

#include <limits.h>
#include <stdbool.h>

#define OBJECT_NAME "libpqleash.so"

/* Where the object that belongs to this command is; false where there is none. */
bool object_find(char path[PATH_MAX]);

/*
 * Whether LD_PRELOAD can carry this path: ld.so splits at blanks and colons, and knows no quoting.
 */
bool ld_preload_carries(const char *path);

/* Put the object behind what LD_PRELOAD has, unless it is there already; false without memory. */
bool ld_preload_add(const char *path);

#endif
