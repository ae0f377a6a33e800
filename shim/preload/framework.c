/*
 * Test frameworks. CUnit and Check are asked through functions of theirs, which may be in the
 * program itself, without a dynamic symbol: then its symbol table tells where. pytest and bats tell
 * in the environment. Owns how each names what it runs; changes nothing.
 */
#include "framework.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The head of CUnit's CU_Suite and CU_Test, as its TestDB.h has it since 2.0. */
struct named {
	const char *name;
};

struct questions {
	struct named *(*cunit_suite)(void);
	struct named *(*cunit_test)(void);
	const char *(*check_test)(void);
};
static struct questions ask;
static bool looked;

/* ---- The symbol table of the program's file ---- */

struct image {
	const char *bytes;
	size_t size;
	uintptr_t base; /* where the program was loaded, less where it wanted to be */
};

static int find_base(struct dl_phdr_info *info, size_t size, void *base)
{
	(void)size;
	*(uintptr_t *)base = info->dlpi_addr;
	return 1; /* the program is the first */
}

static bool map_program(struct image *image)
{
	int descriptor = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat file;

	if (descriptor < 0)
		return false;
	bool known = fstat(descriptor, &file) == 0 && file.st_size > (off_t)sizeof(ElfW(Ehdr));
	image->size = known ? (size_t)file.st_size : 0;
	image->bytes =
	    known ? mmap(NULL, image->size, PROT_READ, MAP_PRIVATE, descriptor, 0) : MAP_FAILED;
	close(descriptor);
	dl_iterate_phdr(find_base, &image->base);
	return image->bytes != MAP_FAILED;
}

/* The part of the file, if it is all there. */
static const void *part(const struct image *image, uint64_t offset, uint64_t size)
{
	return offset <= image->size && size <= image->size - offset ? image->bytes + offset : NULL;
}

static void *match(const struct image *image, const ElfW(Sym) * symbol, const char *names,
    size_t names_size, const char *wanted)
{
	size_t length = strlen(wanted) + 1;

	if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_shndx == SHN_UNDEF ||
	    symbol->st_name >= names_size || length > names_size - symbol->st_name ||
	    memcmp(names + symbol->st_name, wanted, length) != 0)
		return NULL;
	return (void *)(image->base + symbol->st_value);
}

static void *find_in(const struct image *image, const ElfW(Shdr) * table,
    const ElfW(Shdr) * strings, const char *wanted)
{
	const ElfW(Sym) *symbols = part(image, table->sh_offset, table->sh_size);
	const char *names = part(image, strings->sh_offset, strings->sh_size);
	void *found = NULL;

	for (size_t i = 0; symbols && names && !found && i < table->sh_size / sizeof *symbols; i++)
		found = match(image, &symbols[i], names, strings->sh_size, wanted);
	return found;
}

static void *find_in_program(const struct image *image, const char *wanted)
{
	const ElfW(Ehdr) *head = part(image, 0, sizeof *head);
	const ElfW(Shdr) *sections =
	    head ? part(image, head->e_shoff, (uint64_t)head->e_shnum * sizeof(ElfW(Shdr))) : NULL;

	for (int i = 0; sections && i < head->e_shnum; i++)
		if (sections[i].sh_type == SHT_SYMTAB && sections[i].sh_link < head->e_shnum)
			return find_in(image, &sections[i], &sections[sections[i].sh_link], wanted);
	return NULL;
}

/* ---- The frameworks ---- */

static void *look_up(const struct image *image, const char *name)
{
	void *found = dlsym(RTLD_DEFAULT, name);

	return found || !image->bytes ? found : find_in_program(image, name);
}

/*
 * No lock, nor pthread_once: the loader has one, which a constructor that connects holds already,
 * while another thread would hold ours and wait for that. Who comes at the same time finds the same.
 */
static void find_frameworks(void)
{
	struct image image = {0};
	struct questions questions;

	if (!map_program(&image))
		image.bytes = NULL;
	questions.cunit_suite = (struct named * (*)(void)) look_up(&image, "CU_get_current_suite");
	questions.cunit_test = (struct named * (*)(void)) look_up(&image, "CU_get_current_test");
	questions.check_test = (const char *(*)(void))look_up(&image, "tcase_name");
	if (image.bytes)
		munmap((void *)image.bytes, image.size);
	__atomic_store_n(&ask.cunit_suite, questions.cunit_suite, __ATOMIC_RELAXED);
	__atomic_store_n(&ask.cunit_test, questions.cunit_test, __ATOMIC_RELAXED);
	__atomic_store_n(&ask.check_test, questions.check_test, __ATOMIC_RELAXED);
	__atomic_store_n(&looked, true, __ATOMIC_RELEASE);
}

static void set_suite(struct framework_test *running, const char *name, size_t length)
{
	running->suite = name;
	running->suite_length = length;
}

static void set_test(struct framework_test *running, const char *name, size_t length)
{
	running->test = name;
	running->test_length = length;
}

/* "tests/test_api.py::TestLogin::test_wrong (call)": the file is the suite. */
static void read_pytest(struct framework_test *running, const char *value)
{
	const char *colons = strstr(value, "::");
	size_t length = strlen(value);
	const char *phase = memrchr(value, ' ', length);

	running->source = "pytest";
	set_suite(running, value, colons ? (size_t)(colons - value) : length);
	if (colons)
		set_test(running, colons + 2,
		    (size_t)((phase > colons ? phase : value + length) - colons) - 2);
}

/* The value, if it is the entry of this variable. */
static const char *value_in(const char *entry, const char *variable, size_t length)
{
	return strncmp(entry, variable, length) == 0 ? entry + length : NULL;
}
#define VALUE_IN(entry, variable) value_in(entry, variable "=", sizeof variable)
#define MAY_BE(entry, variable) ((entry)[0] == (variable)[0] && (entry)[1] == (variable)[1])

/* In one pass: it is made for every connection. */
static void read_environment(struct framework_test *running)
{
	for (char **entry = environ; entry && *entry; entry++) {
		const char *value;

		if (MAY_BE(*entry, "PYTEST") && (value = VALUE_IN(*entry, "PYTEST_CURRENT_TEST"))) {
			read_pytest(running, value);
			return;
		}
		if (!MAY_BE(*entry, "BATS"))
			continue;
		if ((value = VALUE_IN(*entry, "BATS_TEST_FILENAME"))) {
			running->source = "bats";
			set_suite(running, value, strlen(value));
		} else if ((value = VALUE_IN(*entry, "BATS_TEST_NAME")))
			set_test(running, value, strlen(value));
	}
}

struct framework_test framework_now(void)
{
	struct framework_test running = {0};
	struct questions asked;
	const struct named *suite, *test;
	const char *name;

	if (!__atomic_load_n(&looked, __ATOMIC_ACQUIRE))
		find_frameworks();
	asked.cunit_suite = __atomic_load_n(&ask.cunit_suite, __ATOMIC_RELAXED);
	asked.cunit_test = __atomic_load_n(&ask.cunit_test, __ATOMIC_RELAXED);
	asked.check_test = __atomic_load_n(&ask.check_test, __ATOMIC_RELAXED);
	if (asked.cunit_suite && (suite = asked.cunit_suite()) && suite->name) {
		running.source = "cunit";
		set_suite(&running, suite->name, strlen(suite->name));
		test = asked.cunit_test ? asked.cunit_test() : NULL;
		if (test && test->name)
			set_test(&running, test->name, strlen(test->name));
	} else if (asked.check_test && (name = asked.check_test())) {
		running.source = "check";
		set_test(&running, name, strlen(name));
	} else
		read_environment(&running);
	return running;
}
