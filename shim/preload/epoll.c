/*
 * epoll_ctl, interposed: which epoll instance watches a session's descriptor has to be known, or
 * the registration would stay behind when the session moves. Owns nothing; descriptor.c remembers.
 */
#include "epoll.h"
#include "descriptor.h"
#include "dlsym.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>

typedef int epoll_ctl_function(int epoll, int operation, int descriptor, struct epoll_event *event);

int epoll_ctl_behind(int epoll, int operation, int descriptor, struct epoll_event *event)
{
	static epoll_ctl_function *next;
	epoll_ctl_function *found = __atomic_load_n(&next, __ATOMIC_ACQUIRE);

	if (!found) {
		*(void **)&found = real_dlsym(RTLD_NEXT, "epoll_ctl");
		__atomic_store_n(&next, found, __ATOMIC_RELEASE);
	}
	return found(epoll, operation, descriptor, event);
}

__attribute__((visibility("default"))) int epoll_ctl(
    int epoll, int operation, int descriptor, struct epoll_event *event)
{
	int outcome = epoll_ctl_behind(epoll, operation, descriptor, event);

	if (outcome != 0 || descriptor_registered(epoll, operation, descriptor, event))
		return outcome;
	epoll_ctl_behind(epoll, EPOLL_CTL_DEL, descriptor, NULL);
	errno = ENOMEM;
	return -1;
}
