/* Requests that were looked up before, and the targets they led to. See request_cache.c. */
#ifndef REQUEST_CACHE_H
#define REQUEST_CACHE_H

#include "target.h"
#include "text.h"

#include <stdbool.h>

/*
 * All that a request's target depends on besides files: its own words, and the environment. False
 * where it has no words, or there was no memory.
 */
bool request_key(struct text *key, const struct request *request);

/* These are called under the lock of targets. */

/* The target that this key led to, if the password files are as they were then; else NULL. */
struct target *request_cache_find(const struct text *key);

/*
 * Remember it, as long as the target lives or less; a copy is made of the key.
 *   passfile  the file that a password would be looked up in, "" for the one in HOME; NULL where none
 *             is looked at
 */
void request_cache_add(const struct text *key, struct target *target, const char *passfile);

/* The target goes; NULL: all of them are forgotten. */
void request_cache_forget(const struct target *target);

#endif
