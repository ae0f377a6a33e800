/* Where the code of an object lies, for preloads that look at who calls them. */
#ifndef CODE_OF_H
#define CODE_OF_H

#include <link.h>
#include <stdint.h>
#include <string.h>

struct code {
	const char *name; /* how its file's name begins */
	uintptr_t begin, end;
};

static int find_code(struct dl_phdr_info *object, size_t size, void *wanted)
{
	struct code *code = wanted;
	const char *slash = strrchr(object->dlpi_name, '/');
	const char *file = slash ? slash + 1 : object->dlpi_name;

	(void)size;
	if (strncmp(file, code->name, strlen(code->name)) != 0)
		return 0;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];

		if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X)) {
			code->begin = object->dlpi_addr + segment->p_vaddr;
			code->end = code->begin + segment->p_memsz;
		}
	}
	return 1;
}

static inline struct code code_of(const char *name)
{
	struct code code = {.name = name};

	dl_iterate_phdr(find_code, &code);
	return code;
}

static inline int is_within(const struct code *code, const void *address)
{
	return (uintptr_t)address >= code->begin && (uintptr_t)address < code->end;
}

#endif
