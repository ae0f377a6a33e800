/*
 * Growing texts: what is added is there, whole, and memory that runs out is told once, at the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <wchar.h>
#include <cmocka.h>

#include "apart.h"
#include "text.h"

static void assert_text(struct text *text, const char *expected)
{
	char *bytes = text_take(text);

	assert_non_null(bytes);
	assert_string_equal(bytes, expected);
	free(bytes);
}

static void what_is_added_is_appended(void **state)
{
	struct text text = {0};

	(void)state;
	text_add(&text, "%s=%d", "limit", 3);
	text_add_byte(&text, ';');
	text_add(&text, "%s", "");
	text_add(&text, "%c%%", 'x');
	assert_int_equal(text.length, strlen("limit=3;x%"));
	assert_text(&text, "limit=3;x%");
}

static void numbers_are_added_in_digits(void **state)
{
	struct text text = {0};

	(void)state;
	text_add_string(&text, "from ");
	text_add_number(&text, INT64_MIN);
	text_add_string(&text, "");
	text_add_byte(&text, ' ');
	text_add_number(&text, 0);
	text_add_string(&text, " to ");
	text_add_number(&text, INT64_MAX);
	assert_text(&text, "from -9223372036854775808 0 to 9223372036854775807");
}

static void nothing_added_is_null(void **state)
{
	struct text text = {0};

	(void)state;
	assert_null(text.bytes);
	assert_null(text_take(&text));
}

static void an_empty_text_that_was_added_is_a_text(void **state)
{
	struct text text = {0};

	(void)state;
	text_add(&text, "%s", "");
	assert_text(&text, "");
}

static void it_is_zero_terminated_at_every_length(void **state)
{
	struct text text = {0};

	(void)state;
	for (size_t i = 0; i < 5000; i++) {
		text_add_byte(&text, 'x');
		assert_int_equal(strlen(text.bytes), i + 1);
		assert_true(text.room > i + 1);
	}
	text_free(&text);
}

/* Lengths around those where it has to grow. */
static void a_piece_of_any_length_fits(void **state)
{
	(void)state;
	for (int begin = 0; begin < 130; begin++)
		for (int more = 0; more < 260; more += 13) {
			struct text text = {0};

			text_add(&text, "%*s", begin, "");
			text_add(&text, "%*s", more, "");
			assert_int_equal(text.length, begin + more);
			assert_int_equal(strlen(text.bytes), begin + more);
			text_free(&text);
		}
}

static void taking_and_freeing_leave_an_empty_text(void **state)
{
	struct text text = {0};

	(void)state;
	text_add(&text, "one");
	assert_text(&text, "one");
	text_add(&text, "two");
	assert_text(&text, "two");
	text_add(&text, "three");
	text_free(&text);
	assert_null(text.bytes);
	text_free(&text);
	text_add(&text, "four");
	assert_text(&text, "four");
}

static void bytes_of_any_value_are_kept(void **state)
{
	struct text text = {0};

	(void)state;
	for (int byte = 0; byte < 256; byte++)
		text_add_byte(&text, (char)byte);
	assert_int_equal(text.length, 256);
	for (int byte = 0; byte < 256; byte++)
		assert_int_equal((unsigned char)text.bytes[byte], byte);
	text_free(&text);
}

/* What came of a text that became too long, in a process of its own. */
struct failure {
	bool is_null, stays_null, bytes_gone, is_usable_afterwards;
};

static void examine(struct text *text, struct failure *failure)
{
	failure->bytes_gone = text->bytes == NULL && text->failed;
	text_add(text, "more");
	text_add_byte(text, 'x');
	failure->stays_null = text->bytes == NULL && text->failed;
	failure->is_null = text_take(text) == NULL;
	text_add(text, "again");
	failure->is_usable_afterwards = text->bytes && strcmp(text->bytes, "again") == 0;
	text_free(text);
}

/* printf fails of itself when it meets a character that the locale lacks, or at INT_MAX bytes. */
static void defeat_printf(void *failure)
{
	struct text text = {0};

	text_add(&text, "begun");
	text_add(&text, "%ls", L"\u00e9");
	examine(&text, failure);
}

static void assert_fails(void (*fill)(void *))
{
	struct failure *failure = apart_share(sizeof *failure);

	assert_non_null(apart(fill, failure));
	assert_true(failure->bytes_gone);
	assert_true(failure->stays_null);
	assert_true(failure->is_null);
	assert_true(failure->is_usable_afterwards);
}

#ifndef __SANITIZE_ADDRESS__ /* it wants terabytes of address space */
static void run_out_of_memory(void *failure)
{
	struct rlimit limit = {(rlim_t)128 << 20, (rlim_t)128 << 20};
	struct text text = {0};

	setrlimit(RLIMIT_AS, &limit);
	text_add(&text, "begun");
	text_add(&text, "%*s", 256 << 20, "");
	examine(&text, failure);
}

static void memory_that_runs_out_makes_it_null_and_keeps_it_so(void **state)
{
	(void)state;
	assert_fails(run_out_of_memory);
}
#endif

static void a_piece_that_cannot_be_printed_is_not_left_out(void **state)
{
	(void)state;
	assert_fails(defeat_printf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_added_is_appended),
	    cmocka_unit_test(numbers_are_added_in_digits),
	    cmocka_unit_test(nothing_added_is_null),
	    cmocka_unit_test(an_empty_text_that_was_added_is_a_text),
	    cmocka_unit_test(it_is_zero_terminated_at_every_length),
	    cmocka_unit_test(a_piece_of_any_length_fits),
	    cmocka_unit_test(taking_and_freeing_leave_an_empty_text),
	    cmocka_unit_test(bytes_of_any_value_are_kept),
#ifndef __SANITIZE_ADDRESS__
	    cmocka_unit_test(memory_that_runs_out_makes_it_null_and_keeps_it_so),
#endif
	    cmocka_unit_test(a_piece_that_cannot_be_printed_is_not_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
