/*
 * Names for addresses: from programs that are compiled here in each way that matters, of which the
 * addresses are read with nm(1).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "symbols.h"

static char folder[] = "/tmp/pqleash-symbols-XXXXXX";

/* Lines count: the call in outer() is in line 3, that in inner(), which is inlined, in line 1. */
static const char source[] =
    "extern int far(int); static inline __attribute__((always_inline)) int inner(int i) { return "
    "far(i) + 1; }\n"
    "extern int outer(int i); int outer(int i) {\n"
    "	return inner(i) * 2;\n"
    "}\n"
    "int main(int argc, char **argv) { (void)argv; return outer(argc); }\n";

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *format, ...)
{
	char command[2048];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof command, format, arguments);
	va_end(arguments);
	if (system(command) != 0)
		fail_msg("%s", command);
}

/* What a command says, without the end of its line; to be freed. */
static char *answer(const char *format, const char *argument)
{
	char command[2048], *line = NULL;
	size_t room = 0;

	snprintf(command, sizeof command, format, argument);
	FILE *out = popen(command, "r");
	assert_non_null(out);
	if (getline(&line, &room, out) <= 0)
		fail_msg("%s: no answer", command);
	assert_int_equal(pclose(out), 0);
	line[strcspn(line, "\n")] = '\0';
	return line;
}

static char *path_of(const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
	return path;
}

static char *build(const char *name, const char *flags)
{
	char *path = path_of(name);

	shell("cd %s && cc -O1 -g -fno-inline-functions -Wl,--build-id %s -o %s program.c far.c",
	    folder, flags, name);
	return path;
}

static char *build_id_of(const char *path)
{
	return answer("readelf -n %s | sed -n 's/.*Build ID: //p'", path);
}

/* Where the call of far() returns to, which objdump shows. */
static uint64_t address_of(const char *path)
{
	char *line = answer("objdump -d --no-show-raw-insn %s | sed -n '/<outer>:/,/ret/p' | grep "
			    "-A1 'call' | tail -1",
	    path);
	uint64_t address = strtoull(line, NULL, 16);

	free(line);
	assert_int_not_equal(address, 0);
	return address;
}

static void assert_named(const char *path, const char *build_id, uint64_t address)
{
	struct place *places;
	size_t count = symbols_at(path, build_id, address, &places);
	char *file = path_of("program.c");

	assert_int_equal(count, 2);
	assert_string_equal(places[0].function, "inner");
	assert_int_equal(places[0].line, 1);
	assert_true(places[0].inlined);
	assert_string_equal(places[1].function, "outer");
	assert_int_equal(places[1].line, 3);
	assert_false(places[1].inlined);
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(places[i].file, file);
		assert_string_equal(places[i].module, path);
		assert_int_equal(places[i].offset, address);
	}
	free(file);
}

static void assert_nameless(const char *path, const char *build_id, uint64_t address)
{
	struct place *places;

	assert_int_equal(symbols_at(path, build_id, address, &places), 1);
	assert_null(places[0].function);
	assert_null(places[0].file);
	assert_string_equal(places[0].module, path);
	assert_int_equal(places[0].offset, address);
}

static void programs_of_all_kinds_have_inlined_frames_and_lines(void **state)
{
	static const char *const kinds[][2] = {
	    {"pie", "-pie -fPIE"}, {"fixed", "-no-pie -fno-pie"}, {"object.so", "-shared -fPIC"}};

	(void)state;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		char *path = build(kinds[i][0], kinds[i][1]), *build_id = build_id_of(path);

		assert_named(path, build_id, address_of(path));
		free(path);
		free(build_id);
	}
}

static void debug_information_may_be_in_a_file_beside(void **state)
{
	char *path = build("stripped", "-pie -fPIE"), *build_id = build_id_of(path);
	uint64_t address = address_of(path);

	(void)state;
	shell("cd %s && objcopy --only-keep-debug stripped stripped.debug && "
	      "objcopy --strip-all --add-gnu-debuglink=stripped.debug stripped",
	    folder);
	assert_named(path, build_id, address);
	free(path);
	free(build_id);
}

static void without_it_a_symbol_is_a_name(void **state)
{
	char *path = build("exported.so", "-shared -fPIC"), *build_id = build_id_of(path);
	uint64_t address = address_of(path);
	struct place *places;

	(void)state;
	shell("strip %s", path);
	assert_int_equal(symbols_at(path, build_id, address, &places), 1);
	assert_string_equal(places[0].function, "outer");
	assert_null(places[0].file);
	free(path);
	free(build_id);
}

static void another_file_by_now_gives_no_names(void **state)
{
	char *path = build("rebuilt", "-pie -fPIE");

	(void)state;
	assert_nameless(path, "0123456789abcdef", address_of(path));
	free(path);
}

static void what_is_no_object_gives_no_names(void **state)
{
	char *text = path_of("program.c"), *none = path_of("none"), *cut = path_of("cut");

	(void)state;
	build("whole", "-pie -fPIE");
	shell("head -c 700 %s/whole >%s", folder, cut);
	assert_nameless(text, "", 12);
	assert_nameless(none, "", 12);
	assert_nameless(cut, "", 12);
	assert_nameless("/dev/zero", "", 12);
	assert_nameless(folder, "", 12);
	assert_nameless("", "", 12);
	free(text);
	free(none);
	free(cut);
}

static int make_folder(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	char *program = path_of("program.c"), *far = path_of("far.c");
	FILE *file = fopen(program, "w");
	fputs(source, file);
	fclose(file);
	file = fopen(far, "w");
	fputs("extern int far(int); int far(int i) { return i; }\n", file);
	fclose(file);
	free(program);
	free(far);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	shell("rm -r %s", folder);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(programs_of_all_kinds_have_inlined_frames_and_lines),
	    cmocka_unit_test(debug_information_may_be_in_a_file_beside),
	    cmocka_unit_test(without_it_a_symbol_is_a_name),
	    cmocka_unit_test(another_file_by_now_gives_no_names),
	    cmocka_unit_test(what_is_no_object_gives_no_names),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
