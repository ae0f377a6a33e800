/*
 * uthash, which would end the program where memory runs out if it were not told otherwise. After
 * HASH_ADD ask hash_added: false where there was no memory, and the table is as it was before.
 */
#ifndef HASH_H
#define HASH_H

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define hash_added(element) ((element)->hh.tbl != NULL)

#endif
