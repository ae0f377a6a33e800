/*
 * Who uses a backend that was inherited over a fork. Owns the memory that a process and its children
 * have in common: a word for each such backend, and the ids of the children. A child that has
 * crashed or called _exit says nothing: whether it lives is asked when that matters.
 */
#include "share.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHILDREN 256

/* How long a claim can last: who made it may have been killed since. */
#define CLAIM_ENDS_MS 10000

#define WORDS ((1 << 20) - CHILDREN)

/* What a word holds besides the id of the child that used the backend last. */
enum { UNUSED = 0, CLAIMED = -1, MOVED = -2 };

struct family {
	int expected;        /* forks whose child has not told of itself yet */
	int64_t expected_ms; /* when the last of them was made: it may have failed */
	pid_t children[CHILDREN];
	pid_t words[WORDS];
};

static struct family *family;
static size_t words_used;

/* Where there is no word left: as if process 1, which lives for ever, used the backend. */
static pid_t taken_for_ever = 1;

pid_t *share_new(void)
{
	int saved_errno = errno;

	if (!family) {
		void *made = mmap(NULL, sizeof *family, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (made != MAP_FAILED)
			family = made;
	}
	errno = saved_errno;
	return family && words_used < WORDS ? &family->words[words_used++] : &taken_for_ever;
}

/* Not one that has ended and whose parent has not asked for that yet. */
static bool is_zombie(pid_t process)
{
	char path[32], status[512];

	snprintf(path, sizeof path, "/proc/%d/stat", (int)process);
	int descriptor = open(path, O_RDONLY | O_CLOEXEC);
	if (descriptor < 0)
		return false;
	ssize_t length = read(descriptor, status, sizeof status - 1);
	close(descriptor);
	status[length > 0 ? length : 0] = '\0';
	/* "PID (NAME) STATE ...", and a name may hold anything. */
	const char *name_end = strrchr(status, ')');
	return name_end && strncmp(name_end, ") Z", 3) == 0;
}

static bool lives(pid_t process)
{
	int saved_errno = errno;
	bool is = (kill(process, 0) == 0 || errno != ESRCH) && !is_zombie(process);

	errno = saved_errno;
	return is;
}

void share_expect(void)
{
	if (!family)
		return;
	__atomic_store_n(&family->expected_ms, process_clock_ms(), __ATOMIC_RELAXED);
	__atomic_add_fetch(&family->expected, 1, __ATOMIC_SEQ_CST);
}

static void register_child(void)
{
	pid_t now = process_id();
	for (size_t i = 0; i < CHILDREN; i++) {
		pid_t found = __atomic_load_n(&family->children[i], __ATOMIC_SEQ_CST);

		if (found && lives(found))
			continue;
		if (__atomic_compare_exchange_n(&family->children[i], &found, now, false,
			__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			return;
	}
	/* More than can be remembered: as if process 1 were one of them. */
	__atomic_store_n(&family->children[0], 1, __ATOMIC_SEQ_CST);
}

void share_join(void)
{
	if (!family)
		return;
	register_child();
	__atomic_sub_fetch(&family->expected, 1, __ATOMIC_SEQ_CST);
}

/* A child that has not told of itself for so long was never born. */
static bool expects_a_child(void)
{
	return __atomic_load_n(&family->expected, __ATOMIC_SEQ_CST) > 0 &&
	       process_clock_ms() - __atomic_load_n(&family->expected_ms, __ATOMIC_RELAXED) <
		   CLAIM_ENDS_MS;
}

bool share_has_others(void)
{
	pid_t now = process_id();

	if (family && expects_a_child())
		return true;
	for (size_t i = 0; family && i < CHILDREN; i++) {
		pid_t found = __atomic_load_n(&family->children[i], __ATOMIC_SEQ_CST);

		if (found && found != now && lives(found))
			return true;
	}
	return false;
}

bool share_is_used(const pid_t *word)
{
	pid_t user = word ? __atomic_load_n(word, __ATOMIC_SEQ_CST) : UNUSED;

	return user > 0 && lives(user);
}

static bool change(pid_t *word, pid_t *from, pid_t to)
{
	return __atomic_compare_exchange_n(
	    word, from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

bool share_claim(pid_t *word, bool *used)
{
	pid_t user = word ? __atomic_load_n(word, __ATOMIC_SEQ_CST) : UNUSED;

	if (!word)
		return true;
	do
		if (user > 0 && lives(user))
			return false;
	while (!change(word, &user, CLAIMED));
	*used = user > 0;
	return true;
}

void share_unclaim(pid_t *word)
{
	pid_t claimed = CLAIMED;

	if (word)
		change(word, &claimed, UNUSED);
}

bool share_end(pid_t *word)
{
	return word && __atomic_exchange_n(word, MOVED, __ATOMIC_SEQ_CST) > 0;
}

bool share_use(pid_t *word)
{
	pid_t found = word ? __atomic_load_n(word, __ATOMIC_SEQ_CST) : UNUSED, now = process_id();
	int64_t until_ms = process_clock_ms() + CLAIM_ENDS_MS;

	while (word && found != now) {
		if (found == MOVED || (found == CLAIMED && process_clock_ms() > until_ms))
			return false;
		if (found == CLAIMED) {
			sched_yield();
			found = __atomic_load_n(word, __ATOMIC_SEQ_CST);
		} else if (change(word, &found, now))
			break;
	}
	return true;
}
