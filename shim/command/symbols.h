/* Names for addresses, from the debug information of the files they lie in. See symbols.c. */
#ifndef SYMBOLS_H
#define SYMBOLS_H

#include "run.h"

/*
 * What is at a return address of a module, from the innermost inlined frame outwards.
 *   path      the file as it was named while the program ran
 *   build_id  its build-id in hexadecimal; "" for none. Another file by now has no names for us
 *   offset    the return address, from where the module was loaded
 * Returns how many places there are, at least 1; *places is never freed, nor are the texts in it.
 */
size_t symbols_at(const char *path, const char *build_id, uint64_t offset, struct place **places);

#endif
