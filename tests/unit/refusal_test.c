/* How a refusal for want of connections is known, and when a refused session asks again. */
#include "process.h"
#include "refusal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof array / sizeof *array)

static void a_refusal_is_known_by_its_words(void **state)
{
	static const char *const messages[] = {
	    "connection to server failed: FATAL:  sorry, too many clients already\n",
	    "FATAL:  remaining connection slots are reserved for non-replication superuser "
	    "connections\n",
	    "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER "
	    "attribute\n",
	    "FATAL:  too many connections for role \"ci\"\n",
	    "FATAL:  too many connections for database \"ci\"\n",
	    "FATAL:  number of requested standby connections exceeds max_wal_senders (currently "
	    "10)",
	    "ERROR:  no more connections allowed (max_client_conn)\n",
	    "FATAL:  query_wait_timeout\nserver closed the connection unexpectedly\n",
	    "FATAL:  MaxClientsInSessionMode: max clients reached - in Session mode max clients "
	    "are "
	    "limited to pool_size\n",
	    "FATAL:  Max client connections reached\n"};

	(void)state;
	for (size_t i = 0; i < COUNT(messages); i++)
		assert_true(refusal_is(messages[i]));
}

static void no_other_failure_is_one(void **state)
{
	static const char *const messages[] = {"",
	    "FATAL:  password authentication failed for user \"ci\"\n",
	    "FATAL:  database \"many\" does not exist\n",
	    "FATAL:  the database system is starting up\n", "Connection refused",
	    "timeout expired\n"};

	(void)state;
	assert_false(refusal_is(NULL));
	for (size_t i = 0; i < COUNT(messages); i++)
		assert_false(refusal_is(messages[i]));
}

static void each_pause_is_twice_as_long_up_to_a_limit(void **state)
{
	static const long pauses[] = {50, 100, 200, 400, 800, 800, 800};
	struct retry retry = {0};

	(void)state;
	for (size_t i = 0; i < COUNT(pauses); i++) {
		int64_t before = process_clock_ms();

		assert_true(refusal_retry(&retry, 60000));
		assert_int_equal(retry.pause_ms, pauses[i]);
		assert_in_range(retry.next_ms, before + pauses[i], process_clock_ms() + pauses[i]);
	}
}

static void the_last_attempt_is_at_the_timeout(void **state)
{
	struct retry retry = {0};

	(void)state;
	assert_true(refusal_retry(&retry, 10));
	assert_int_equal(retry.next_ms, retry.until_ms);
	refusal_pause(&retry);
	assert_int_equal(retry.next_ms, 0);
	assert_true(process_clock_ms() >= retry.until_ms);
	assert_false(refusal_retry(&retry, 10));
}

static void a_timeout_of_0_allows_none(void **state)
{
	struct retry retry = {0};

	(void)state;
	assert_false(refusal_retry(&retry, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_refusal_is_known_by_its_words),
	    cmocka_unit_test(no_other_failure_is_one),
	    cmocka_unit_test(each_pause_is_twice_as_long_up_to_a_limit),
	    cmocka_unit_test(the_last_attempt_is_at_the_timeout),
	    cmocka_unit_test(a_timeout_of_0_allows_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
