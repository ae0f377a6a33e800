/*
 * A session's descriptor: a number that stays while the backend behind it changes. Owns that
 * number, until the program closes it itself: then it may already belong to a file of the
 * program's, so every change first checks that it is still the file we put there. Without a backend
 * it is a socket, too (Ruby refuses anything else): one on which nothing ever happens, or, while
 * the session awaits a backend, one that becomes readable when it is time to call us again.
 *
 * An epoll registration is of the open file, not of the number: it would stay with the old backend.
 * So registrations are remembered and moved along.
 */
#include "descriptor.h"
#include "backend.h"
#include "epoll.h"
#include "lock.h"
#include "pool.h"
#include "process.h"
#include "say.h"
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_DESCRIPTORS ((size_t)1 << 20)

struct registration {
	struct registration *next;
	int epoll;
	pid_t owner;
	struct epoll_event event;
	bool fired; /* EPOLLONESHOT: it must not come again before the program asks for it */
};

static struct session **owners; /* by descriptor; address space, until it is used */

static struct session **owner_of(int descriptor)
{
	if (descriptor < 0 || (size_t)descriptor >= MOST_DESCRIPTORS)
		return NULL;
	struct session **table = __atomic_load_n(&owners, __ATOMIC_ACQUIRE);
	return table ? &table[descriptor] : NULL;
}

/* Under the lock. */
static void own(int descriptor, struct session *session)
{
	if (!owners) {
		void *table = mmap(NULL, MOST_DESCRIPTORS * sizeof(struct session *),
		    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (table == MAP_FAILED)
			return;
		__atomic_store_n(&owners, table, __ATOMIC_RELEASE);
	}
	struct session **owner = owner_of(descriptor);
	if (owner)
		*owner = session;
}

static bool is_ours(const struct session *session)
{
	struct session **owner = owner_of(session->descriptor);
	struct stat file;

	return owner && *owner == session && fstat(session->descriptor, &file) == 0 &&
	       file.st_dev == session->descriptor_device &&
	       file.st_ino == session->descriptor_inode;
}

/* Under the lock. */
static void remember(struct session *session, int descriptor)
{
	struct stat file;

	__atomic_store_n(&session->descriptor, descriptor, __ATOMIC_RELEASE);
	if (descriptor < 0 || fstat(descriptor, &file) != 0)
		return;
	session->descriptor_device = file.st_dev;
	session->descriptor_inode = file.st_ino;
	own(descriptor, session);
}

/* ---- Sockets that stand in for a backend's ---- */

/*
 * As an idle connection's: always writable, never readable, unless the program shuts it down; so
 * each session has one of its own. -1 when there is none.
 */
static int quiet_socket(void)
{
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static int connect_nonblocking(const struct sockaddr_in *address, unsigned timeout_ms)
{
	int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (descriptor < 0)
		return -1;
	setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
	if (connect(descriptor, (const struct sockaddr *)address, sizeof *address) == 0 ||
	    errno == EINPROGRESS)
		return descriptor;
	close(descriptor);
	return -1;
}

/* A listener on loopback that has no room for one more connection, so that connects stay pending. */
static bool make_full_listener(struct sockaddr_in *address)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof *address;

	*address =
	    (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (listener >= 0 && bind(listener, (struct sockaddr *)address, size) == 0 &&
	    getsockname(listener, (struct sockaddr *)address, &size) == 0 &&
	    listen(listener, 0) == 0 && connect_nonblocking(address, 0) >= 0)
		return true;
	if (listener >= 0)
		close(listener);
	return false;
}

/*
 * A socket that becomes readable after so long, or when wake_socket is called, and is not writable
 * before. Nothing but a failing connect makes the kernel do that by itself: ours waits on a listener
 * that never answers, until TCP_USER_TIMEOUT; not before the first retransmission, after a second.
 * -1 where the machine does not allow it.
 */
static int waiting_socket(long within_ms)
{
	static struct sockaddr_in address;
	int descriptor = address.sin_port ? connect_nonblocking(&address, (unsigned)within_ms) : -1;

	/* The program may have closed the listener, with all that it did not know. */
	if (descriptor < 0 && make_full_listener(&address))
		descriptor = connect_nonblocking(&address, (unsigned)within_ms);
	return descriptor;
}

/* The first shutdown ends the connect; the second is what makes poll say POLLIN. */
static void wake_socket(int descriptor)
{
	shutdown(descriptor, SHUT_RDWR);
	shutdown(descriptor, SHUT_RDWR);
}

static bool is_readable(int descriptor)
{
	struct pollfd wanted = {.fd = descriptor, .events = POLLIN};

	return poll(&wanted, 1, 0) > 0;
}

int descriptor_of(struct session *session)
{
	NO_CANCEL();
	PGconn *conn = __atomic_load_n(&session->conn, __ATOMIC_SEQ_CST);
	int real = conn ? REAL(PQsocket)(conn) : -1;

	if (conn && real < 0)
		return -1;
	/* What the program was told is what it expects, even after it closed it. */
	int known = __atomic_load_n(&session->descriptor, __ATOMIC_ACQUIRE);
	if (known >= 0)
		return known;
	lock_take(LOCK_DESCRIPTORS);
	if (session->descriptor < 0) {
		remember(session, real >= 0 ? fcntl(real, F_DUPFD_CLOEXEC, 3) : quiet_socket());
		session->descriptor_is_quiet = real < 0;
	}
	lock_release(LOCK_DESCRIPTORS);
	pool_still_awaited(session);
	return session->descriptor;
}

/* What the kernel does to the events of a registration with EPOLLONESHOT that has fired. */
#define ONLY_FLAGS ((uint32_t)(EPOLLONESHOT | EPOLLET | EPOLLWAKEUP | EPOLLEXCLUSIVE))

/* Nobody but the kernel knows; /proc/self/fdinfo tells. */
static bool has_fired(const struct registration *registration, int descriptor)
{
	char path[64], line[128];
	bool fired = false;
	int number;
	unsigned events;

	if (!(registration->event.events & EPOLLONESHOT))
		return false;
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", registration->epoll);
	FILE *file = fopen(path, "re");
	while (file && !fired && fgets(line, sizeof line, file))
		fired = sscanf(line, "tfd: %d events: %x", &number, &events) == 2 &&
			number == descriptor && !(events & ~ONLY_FLAGS);
	if (file)
		fclose(file);
	return fired;
}

/*
 * Take the registrations off the old file. Those that are gone already were ended behind our back;
 * those of before a fork are the parent's, which has the epoll instance in common with us.
 */
static void take_off(struct session *session)
{
	for (struct registration **link = &session->registrations; *link;) {
		struct registration *registration = *link;

		registration->fired |= has_fired(registration, session->descriptor);
		if (registration->owner == process_id() &&
		    epoll_ctl_behind(
			registration->epoll, EPOLL_CTL_DEL, session->descriptor, NULL) == 0) {
			link = &registration->next;
			continue;
		}
		*link = registration->next;
		free(registration);
	}
}

static void put_on(struct session *session)
{
	for (struct registration *registration = session->registrations; registration;
	     registration = registration->next) {
		struct epoll_event event = registration->event;

		if (registration->fired)
			event.events &= ONLY_FLAGS;
		epoll_ctl_behind(registration->epoll, EPOLL_CTL_ADD, session->descriptor, &event);
	}
}

/* Under the lock: another file behind the number. */
static void replace(struct session *session, int file)
{
	take_off(session);
	if (dup3(file, session->descriptor, O_CLOEXEC) >= 0)
		remember(session, session->descriptor);
	put_on(session);
}

void descriptor_follow(struct session *session)
{
	int saved_errno = errno, real = session->conn ? REAL(PQsocket)(session->conn) : -1;

	lock_take(LOCK_DESCRIPTORS);
	if (is_ours(session)) {
		int stand_in = real < 0 ? quiet_socket() : -1;

		/* What the program did to the stand-in was meant for the connection. */
		if (real >= 0 && session->descriptor_is_quiet && is_readable(session->descriptor))
			shutdown(real, SHUT_RDWR);
		replace(session, real >= 0 ? real : stand_in);
		session->descriptor_waits = false;
		session->descriptor_is_quiet = real < 0;
		if (stand_in >= 0)
			close(stand_in);
	}
	lock_release(LOCK_DESCRIPTORS);
	errno = saved_errno;
}

void descriptor_await(struct session *session, long within_ms)
{
	int saved_errno = errno;

	lock_take(LOCK_DESCRIPTORS);
	if (is_ours(session) && !(session->descriptor_waits && !is_readable(session->descriptor))) {
		int stand_in = waiting_socket(within_ms > 0 ? within_ms : 1);

		if (stand_in >= 0) {
			if (within_ms <= 0)
				wake_socket(stand_in);
			replace(session, stand_in);
			session->descriptor_waits = true;
			session->descriptor_is_quiet = false;
			close(stand_in);
		} else
			say_debug("no socket to wait on: %s", strerror(errno));
	}
	lock_release(LOCK_DESCRIPTORS);
	errno = saved_errno;
}

void descriptor_wake(struct session *session)
{
	int saved_errno = errno;

	lock_take(LOCK_DESCRIPTORS);
	if (session->descriptor_waits && is_ours(session))
		wake_socket(session->descriptor);
	lock_release(LOCK_DESCRIPTORS);
	errno = saved_errno;
}

void descriptor_check(struct session *session)
{
	int saved_errno = errno;

	if (!is_ours(session) && session->backend && session->owner == process_id() &&
	    backend_has_socket(session->backend))
		shutdown(REAL(PQsocket)(session->conn), SHUT_RDWR);
	errno = saved_errno;
}

static void forget_registrations(struct session *session)
{
	for (struct registration *next; session->registrations; session->registrations = next) {
		next = session->registrations->next;
		free(session->registrations);
	}
}

void descriptor_end(struct session *session)
{
	if (session->descriptor >= 0) {
		lock_take(LOCK_DESCRIPTORS);
		bool ours = is_ours(session);
		/*
		 * Closing libpq's socket ends its registrations; ours is one of several on the
		 * file.
		 */
		if (ours)
			take_off(session);
		forget_registrations(session);
		struct session **owner = owner_of(session->descriptor);
		if (owner && *owner == session)
			*owner = NULL;
		lock_release(LOCK_DESCRIPTORS);
		if (ours)
			close(session->descriptor);
	}
	session->descriptor = -1;
	session->descriptor_waits = session->descriptor_is_quiet = false;
}

/* What libpq closes epoll forgets: the program registers the new one. */
void descriptor_renew(struct session *session)
{
	if (!is_ours(session)) {
		descriptor_end(session);
		return;
	}
	lock_take(LOCK_DESCRIPTORS);
	take_off(session);
	forget_registrations(session);
	lock_release(LOCK_DESCRIPTORS);
}

static void forget_registration(struct session *session, int epoll)
{
	struct registration **link = &session->registrations;

	while (*link && (*link)->epoll != epoll)
		link = &(*link)->next;
	struct registration *found = *link;
	if (found)
		*link = found->next;
	free(found);
}

static bool add_registration(struct session *session, int epoll, const struct epoll_event *event)
{
	struct registration *registration = malloc(sizeof *registration);

	if (!registration)
		return false;
	*registration = (struct registration){
	    .next = session->registrations, .epoll = epoll, .owner = process_id(), .event = *event};
	session->registrations = registration;
	return true;
}

bool descriptor_registered(
    int epoll, int operation, int descriptor, const struct epoll_event *event)
{
	struct session **owner = owner_of(descriptor);
	bool good = true;

	if (!owner || !__atomic_load_n(owner, __ATOMIC_RELAXED))
		return true;
	lock_take(LOCK_DESCRIPTORS);
	struct session *session = *owner;
	if (session && is_ours(session)) {
		forget_registration(session, epoll);
		if (operation != EPOLL_CTL_DEL && event)
			good = add_registration(session, epoll, event);
	}
	lock_release(LOCK_DESCRIPTORS);
	return good;
}
