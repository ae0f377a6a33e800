/* OpenSSL's end, which must not come before that of the last encrypted connection. See openssl.c. */
#ifndef PRELOAD_OPENSSL_H
#define PRELOAD_OPENSSL_H

#include <stdbool.h>

/*
 * Before libpq connects: OpenSSL, if libpq has one, is asked not to clean up by itself when the
 * process exits. Without effect where the program has used OpenSSL before. Any thread.
 */
void openssl_prepare(void);

/*
 * The first encrypted connection is there: have this called before OpenSSL cleans up, whoever makes
 * it do so. Any thread; only the first call counts.
 */
void openssl_before_cleanup(void (*close_encrypted)(void));

/* Whether that will be done; else encrypted connections must be closed by an exit handler. */
bool openssl_tells(void);

/* All is closed: clean up, unless that has been done. */
void openssl_end(void);

#endif
