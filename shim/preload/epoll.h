/* The epoll_ctl behind ours. See epoll.c. */
#ifndef EPOLL_H
#define EPOLL_H

struct epoll_event;

/* epoll_ctl(2) as if we had not interposed it. Any thread. */
int epoll_ctl_behind(int epoll, int operation, int descriptor, struct epoll_event *event);

#endif
