/*
 * Backends that processes have in common after a fork. See share.c.
 *
 * With libpq alone parent and child use the same connection, and it is theirs to agree on whose turn
 * it is. So may they here; but a backend that a child uses must not be moved under it to another
 * session, and a child must not use one that has been moved. One word in memory that both see tells.
 */
#ifndef SHARE_H
#define SHARE_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * A word for a backend that is held when its process forks; never NULL, never freed. Not for several
 * threads at once.
 */
pid_t *share_new(void);

/* Around a fork: a child is about to be; and in that child, it has come into being. */
void share_expect(void);
void share_join(void);

/* Whether another process that came from a fork in this family may still live. */
bool share_has_others(void);

/* What holds for words that are NULL as well: there was no fork since the backend was attached. */

/*
 * The process that holds it is about to look whether it can be moved: no child uses it from now on.
 * False when a living child does. *used is set when any child ever did.
 */
bool share_claim(pid_t *word, bool *used);

/* Whether a living child uses it. */
bool share_is_used(const pid_t *word);

/* It stays where it is. */
void share_unclaim(pid_t *word);

/* It is moved, for good; true when a child has used it. */
bool share_end(pid_t *word);

/* A child is about to use it: false when it has been moved. */
bool share_use(pid_t *word);

#endif
