/* The descriptor that PQsocket gives out, the same for the session's life. See descriptor.c. */
#ifndef DESCRIPTOR_H
#define DESCRIPTOR_H

#include <stdbool.h>

struct epoll_event;
struct session;

/*
 * The session's descriptor, made at the first call; -1 as libpq says it when there is no
 * connection.
 */
int descriptor_of(struct session *session);

/* Let it follow the session to its present backend, or to nowhere when it has none. */
void descriptor_follow(struct session *session);

/* The session awaits a backend: not readable before so long, or descriptor_wake; then for good. */
void descriptor_await(struct session *session, long within_ms);

/* It is time to call us. Any thread. */
void descriptor_wake(struct session *session);

/*
 * A program that closes the descriptor itself has broken its connection, and may mean to: then the
 * backend's is broken too. A new descriptor is given out once the session is reset; that ends what
 * epoll instances know of the old one.
 */
void descriptor_check(struct session *session);
void descriptor_renew(struct session *session);

/* The session is over: close it, if it is still ours. */
void descriptor_end(struct session *session);

/*
 * The program has changed what an epoll instance knows of a descriptor, which may be one of ours.
 * False when there is no memory to remember it: it would stay behind when the session moves.
 */
bool descriptor_registered(
    int epoll, int operation, int descriptor, const struct epoll_event *event);

#endif
