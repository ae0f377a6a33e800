/*
 * Why nothing was intercepted: looks at the program's file for what keeps ld.so from loading the
 * object into it, or its calls from reaching it. Reads, and never runs anything.
 */
#include "unseen.h"
#include "intern.h"
#include "pqleash_settings.h"

#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As execvp looks for it. */
static bool find_file(const char *program, char file[PATH_MAX])
{
	const char *path = getenv("PATH");

	if (strchr(program, '/'))
		return snprintf(file, PATH_MAX, "%s", program) < PATH_MAX;
	for (const char *next = path ? path : "/bin:/usr/bin";; next++) {
		int length = (int)strcspn(next, ":");

		if (snprintf(file, PATH_MAX, "%.*s/%s", length, next, program) < PATH_MAX &&
		    access(file, X_OK) == 0)
			return true;
		next += length;
		if (!*next)
			return false;
	}
}

static bool is_skipped(const char *program)
{
#define SETTING_SKIP(id, variable, kind, initial, ...) \
	if (strcmp(#id, "skip") == 0 && !names) \
		names = initial;
	const char *names = getenv("PQLEASH_SKIP"), *slash = strrchr(program, '/');
	const char *name = slash ? slash + 1 : program;

	if (names && !*names)
		names = NULL;
	PQLEASH_SETTINGS(SETTING_SKIP)
	for (const char *next = names; next && *next;
	     next += strcspn(next, ",") + (strchr(next, ',') != NULL))
		if (strcspn(next, ",") == strlen(name) && strncmp(next, name, strlen(name)) == 0)
			return true;
	return false;
}

static bool has_interpreter(Elf *elf)
{
	size_t count = 0;
	GElf_Phdr segment;

	elf_getphdrnum(elf, &count);
	for (size_t i = 0; i < count; i++)
		if (gelf_getphdr(elf, (int)i, &segment) && segment.p_type == PT_INTERP)
			return true;
	return false;
}

static bool defines(Elf *elf, Elf_Scn *section, const GElf_Shdr *header, const char *wanted)
{
	Elf_Data *data = elf_getdata(section, NULL);
	GElf_Sym symbol;

	for (int i = 0; data && gelf_getsym(data, i, &symbol); i++) {
		const char *name = elf_strptr(elf, header->sh_link, symbol.st_name);

		if (name && symbol.st_shndx != SHN_UNDEF && strcmp(name, wanted) == 0)
			return true;
	}
	return false;
}

static bool has_libpq_within(Elf *elf)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	while ((section = elf_nextscn(elf, section)))
		if (gelf_getshdr(section, &header) &&
		    (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM) &&
		    defines(elf, section, &header, "PQconnectStartParams"))
			return true;
	return false;
}

/* NULL for nothing that is in its way. */
static const char *look_into(const char *file)
{
	const char *found = NULL;
	int descriptor = open(file, O_RDONLY | O_CLOEXEC);

	elf_version(EV_CURRENT);
	Elf *elf = descriptor >= 0 ? elf_begin(descriptor, ELF_C_READ, NULL) : NULL;
	if (elf && elf_kind(elf) == ELF_K_ELF) {
		if (!has_interpreter(elf))
			found = "is statically linked: nothing can be preloaded into it";
		else if (has_libpq_within(elf))
			found = "has libpq linked into it statically: link it with -lpq instead";
	}
	if (elf)
		elf_end(elf);
	if (descriptor >= 0)
		close(descriptor);
	return found;
}

const char *unseen_reason(const char *program)
{
	char file[PATH_MAX], reason[PATH_MAX + 256];
	struct stat found;
	const char *why = NULL;

	if (is_skipped(program))
		why = "is left alone, as PQLEASH_SKIP has it";
	else if (find_file(program, file) && stat(file, &found) == 0) {
		if (found.st_mode & (S_ISUID | S_ISGID))
			why = "runs with other rights (setuid): ld.so preloads nothing into it";
		else
			why = look_into(file);
	}
	snprintf(reason, sizeof reason, "%s %s", program,
	    why ? why : "and what it started called no libpq to connect");
	return intern(reason);
}
