/*
 * A session's descriptor: a number that stays while the backend behind it changes. Owns that
 * number, until the program closes it itself: then it may already belong to a file of the
 * program's, so every change first checks that it is still the file we put there.
 */
#include "descriptor.h"
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_ours(const struct session *session)
{
	struct stat file;

	return session->descriptor >= 0 && fstat(session->descriptor, &file) == 0 &&
	       file.st_dev == session->descriptor_device &&
	       file.st_ino == session->descriptor_inode;
}

static void remember(struct session *session, int descriptor)
{
	struct stat file;

	session->descriptor = descriptor;
	if (descriptor < 0 || fstat(descriptor, &file) != 0)
		return;
	session->descriptor_device = file.st_dev;
	session->descriptor_inode = file.st_ino;
}

int descriptor_of(struct session *session)
{
	int real = session->conn ? REAL(PQsocket)(session->conn) : -1;

	/* What the program was told is what it expects, even after it closed it. */
	if (session->descriptor < 0 && real >= 0)
		remember(session, fcntl(real, F_DUPFD_CLOEXEC, 3));
	return real < 0 ? -1 : session->descriptor;
}

/* A socket on which nothing ever happens, for sessions that are parked. -1 when there is none to be
 * had. */
static int quiet_socket(void)
{
	static int quiet = -1;
	int pair[2], none = -1;

	if (__atomic_load_n(&quiet, __ATOMIC_ACQUIRE) < 0 &&
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0 &&
	    !__atomic_compare_exchange_n(
		&quiet, &none, pair[0], false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		close(pair[0]);
		close(pair[1]);
	}
	/* The other end is never closed: that would be an event. */
	return __atomic_load_n(&quiet, __ATOMIC_ACQUIRE);
}

void descriptor_follow(struct session *session)
{
	int saved_errno = errno;

	if (is_ours(session)) {
		int real = session->conn ? REAL(PQsocket)(session->conn) : -1;

		if (dup3(real >= 0 ? real : quiet_socket(), session->descriptor, O_CLOEXEC) >= 0)
			remember(session, session->descriptor);
	}
	errno = saved_errno;
}

void descriptor_end(struct session *session)
{
	if (is_ours(session))
		close(session->descriptor);
	session->descriptor = -1;
}
