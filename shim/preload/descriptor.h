/* The descriptor that PQsocket gives out, the same for the session's life. See descriptor.c. */
#ifndef DESCRIPTOR_H
#define DESCRIPTOR_H

struct session;

/* The session's descriptor, made at the first call; -1 as libpq says it when there is no
 * connection. */
int descriptor_of(struct session *session);

/* Let it follow the session to its present backend, or to nowhere when it has none. */
void descriptor_follow(struct session *session);

/* The session is over: close it, if it is still ours. */
void descriptor_end(struct session *session);

#endif
