/*
 * The mutexes. Owns all that the object has, and the order in which they are taken; each belongs to
 * the file that its name tells. None is held while a server is spoken to or the program's code runs.
 */
#include "lock.h"

static pthread_mutex_t mutexes[LOCKS] = {[0 ... LOCKS - 1] = PTHREAD_MUTEX_INITIALIZER};

/* Those that this thread has or is about to have, a bit for each: it may fork in a signal handler. */
static __thread unsigned mine __attribute__((tls_model("initial-exec")));
static unsigned forking; /* what was taken for a fork; under all of them */

void lock_take(enum lock lock)
{
	mine |= 1u << lock;
	pthread_mutex_lock(&mutexes[lock]);
}

void lock_release(enum lock lock)
{
	pthread_mutex_unlock(&mutexes[lock]);
	mine &= ~(1u << lock);
}

int lock_wait(enum lock lock, pthread_cond_t *condition, const struct timespec *deadline)
{
	if (!deadline)
		return pthread_cond_wait(condition, &mutexes[lock]);
	return pthread_cond_timedwait(condition, &mutexes[lock], deadline);
}

void lock_take_all(void)
{
	unsigned free = ~mine;

	for (enum lock lock = 0; lock < LOCKS; lock++)
		if (free & 1u << lock)
			lock_take(lock);
	forking = free;
}

void lock_release_all(void)
{
	unsigned taken = forking;

	for (enum lock lock = LOCKS; lock-- > 0;)
		if (taken & 1u << lock)
			lock_release(lock);
}

/* Those of a thread that is not in this process are never released. */
void lock_renew_all(void)
{
	mine &= ~forking;
	forking = 0;
	for (enum lock lock = 0; lock < LOCKS; lock++)
		pthread_mutex_init(&mutexes[lock], NULL);
}
