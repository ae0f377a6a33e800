/* Texts that live until the process ends, each once: equal ones are the same pointer. See intern.c. */
#ifndef INTERN_H
#define INTERN_H

#include <stddef.h>

/* NULL gives NULL. Ends the process with one line where memory runs out. */
const char *intern(const char *text);

/* Memory that is never freed; the process ends with one line where there is none. */
void *keep(size_t size);

/* An array that grows: room for one more element behind count. */
void *grow(void *array, size_t count, size_t size);

#endif
