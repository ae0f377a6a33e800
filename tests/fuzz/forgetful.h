/* Memory that the command keeps until it ends, and a fuzz target only for one input. See forgetful.c. */
#ifndef FORGETFUL_H
#define FORGETFUL_H

#include <stddef.h>
#include <stdint.h>

void forget(void);

/*
 * A folder of this process's own with one file of this name in it, which holds the bytes; its path.
 * The folder is gone when the process is.
 */
const char *one_file(const char *name, const uint8_t *bytes, size_t size);
const char *its_folder(void);

#endif
