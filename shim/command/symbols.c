/*
 * Symbols, by libdw. Owns which file's names may be believed: only the file that the program ran,
 * by its build-id, and what debug information belongs to it. Separate debug files are looked for
 * where gdb looks; nothing is fetched from the network. A file is opened once.
 */
#include "symbols.h"
#include "intern.h"

#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

struct module {
	UT_hash_handle hh;
	Dwfl_Module *dwfl; /* NULL: no names */
	GElf_Addr bias;    /* from offsets to dwfl's addresses */
	char path[];
};

static char *debug_path;

static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_linux_proc_find_elf, /* not asked: the file is given */
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .section_address = dwfl_offline_section_address,
    .debuginfo_path = &debug_path,
};

static bool has_build_id(Dwfl_Module *module, const char *expected)
{
	const unsigned char *bytes;
	GElf_Addr address;
	int length = dwfl_module_build_id(module, &bytes, &address);
	char found[2 * 64 + 1] = "";

	for (int i = 0; i < length && i < 64; i++)
		sprintf(found + 2 * (size_t)i, "%02x", bytes[i]);
	return strcmp(found, expected) == 0;
}

/* Loaded where its own addresses are offsets: at 0. */
static void open_module(struct module *module, const char *build_id)
{
	int descriptor = open(module->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	Dwfl *dwfl = descriptor >= 0 ? dwfl_begin(&callbacks) : NULL;

	if (!dwfl) {
		if (descriptor >= 0)
			close(descriptor);
		return;
	}
	dwfl_report_begin(dwfl);
	/* From here on the descriptor is libdw's. */
	Dwfl_Module *found = dwfl_report_elf(dwfl, module->path, module->path, descriptor, 0, true);
	dwfl_report_end(dwfl, NULL, NULL);
	if (!found || !has_build_id(found, build_id) || !dwfl_module_getelf(found, &module->bias)) {
		dwfl_end(dwfl);
		return;
	}
	module->dwfl = found;
}

static struct module *module_of(const char *path, const char *build_id)
{
	static struct module *modules;
	struct module *module;
	size_t length = strlen(path);

	HASH_FIND(hh, modules, path, length, module);
	if (module)
		return module;
	if (!modules)
		unsetenv("DEBUGINFOD_URLS");
	module = keep(sizeof *module + length + 1);
	memcpy(module->path, path, length);
	HASH_ADD(hh, modules, path, length, module);
	open_module(module, build_id);
	return module;
}

/* ---- Places ---- */

struct places {
	struct place *list;
	size_t count;
	const char *path; /* of the module */
	uint64_t offset;
};

static void add(struct places *places, const char *function, const char *file, int line)
{
	places->list = grow(places->list, places->count, sizeof *places->list);
	places->list[places->count++] = (struct place){.function = intern(function),
	    .file = intern(file),
	    .line = file ? line : 0,
	    .module = places->path,
	    .offset = places->offset};
}

/* Absolute, where the compiler's folder is known. */
static const char *absolute(Dwarf_Die *unit, const char *file)
{
	Dwarf_Attribute attribute;
	const char *folder = dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attribute));
	char *joined;

	if (!file || file[0] == '/' || !folder || asprintf(&joined, "%s/%s", folder, file) < 0)
		return file;
	const char *kept = intern(joined);
	free(joined);
	return kept;
}

static int number_of(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;

	return dwarf_formudata(dwarf_attr(die, name, &attribute), &value) == 0 ? (int)value : 0;
}

static const char *call_file(Dwarf_Die *unit, Dwarf_Die *call)
{
	Dwarf_Files *files;
	size_t count;

	if (dwarf_getsrcfiles(unit, &files, &count) != 0)
		return NULL;
	return absolute(
	    unit, dwarf_filesrc(files, (size_t)number_of(call, DW_AT_call_file), NULL, NULL));
}

static const char *name_of(Dwarf_Die *die)
{
	Dwarf_Attribute attribute;

	return dwarf_formstring(dwarf_attr_integrate(die, DW_AT_name, &attribute));
}

/* Each function around the address, inlined ones first: the line in one is where it calls the next. */
static void add_scopes(
    struct places *places, Dwarf_Die *unit, Dwarf_Addr address, const char *file, int line)
{
	Dwarf_Die *scopes = NULL, *chain = NULL;
	int count = dwarf_getscopes(unit, address, &scopes);
	int depth = count > 0 ? dwarf_getscopes_die(&scopes[0], &chain) : 0;

	for (int i = 0; i < depth; i++) {
		int tag = dwarf_tag(&chain[i]);

		if (tag != DW_TAG_subprogram && tag != DW_TAG_inlined_subroutine)
			continue;
		add(places, name_of(&chain[i]), file, line);
		if (tag == DW_TAG_subprogram)
			break;
		places->list[places->count - 1].inlined = true;
		file = call_file(unit, &chain[i]);
		line = number_of(&chain[i], DW_AT_call_line);
	}
	free(scopes);
	free(chain);
}

static void look_up(struct places *places, const struct module *module)
{
	/* The call is before the address that it returns to. */
	Dwarf_Addr address = places->offset - 1 + module->bias, bias;
	Dwarf_Die *unit = dwfl_module_addrdie(module->dwfl, address, &bias);
	Dwfl_Line *found = dwfl_module_getsrc(module->dwfl, address);
	const char *file = NULL;
	int line = 0;

	if (found)
		file = dwfl_lineinfo(found, NULL, &line, NULL, NULL, NULL);
	if (unit) {
		file = absolute(unit, file);
		add_scopes(places, unit, address - bias, file, line);
	}
	if (places->count == 0)
		add(places, dwfl_module_addrname(module->dwfl, address), file, line);
}

size_t symbols_at(const char *path, const char *build_id, uint64_t offset, struct place **list)
{
	struct places places = {.path = intern(path), .offset = offset};
	const struct module *module = path[0] ? module_of(path, build_id) : NULL;

	if (module && module->dwfl)
		look_up(&places, module);
	if (places.count == 0)
		add(&places, NULL, NULL, 0);
	*list = places.list;
	return places.count;
}
