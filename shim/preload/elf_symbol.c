/*
 * The one look-up that cannot be asked of dlsym or dlvsym: theirs, because this object interposes
 * both. Reads libc's own dynamic symbol table (System V ABI, "Dynamic Linking"; the GNU hash
 * table). Calls no function of libc, not even strcmp: a sanitizer's runtime intercepts those, and
 * looks its own up through us.
 */
#include "elf_symbol.h"

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbol_table {
	uintptr_t base;
	const ElfW(Sym) * symbols;
	const char *strings;
	const uint32_t *gnu_hash;
};

/*
 * glibc has made these addresses absolute, except on the few machines with a read-only dynamic
 * section.
 */
static const void *absolute(const struct symbol_table *table, uintptr_t address)
{
	return (const void *)(address < table->base ? table->base + address : address);
}

static struct symbol_table read_tables(const struct link_map *object)
{
	struct symbol_table table = {.base = object->l_addr};

	for (const ElfW(Dyn) *entry = object->l_ld; entry->d_tag != DT_NULL; entry++) {
		if (entry->d_tag == DT_SYMTAB)
			table.symbols = absolute(&table, entry->d_un.d_ptr);
		else if (entry->d_tag == DT_STRTAB)
			table.strings = absolute(&table, entry->d_un.d_ptr);
		else if (entry->d_tag == DT_GNU_HASH)
			table.gnu_hash = absolute(&table, entry->d_un.d_ptr);
	}
	return table;
}

static bool begins_with(const char *text, const char *prefix)
{
	while (*prefix && *text == *prefix) {
		text++;
		prefix++;
	}
	return !*prefix;
}

static bool same(const char *one, const char *other)
{
	return begins_with(one, other) && begins_with(other, one);
}

static uint32_t gnu_hash(const char *name)
{
	uint32_t hash = 5381;

	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash;
}

/*
 * Layout: bucket count, first hashed symbol, filter words, shift; the filter; the buckets; the
 * chains.
 */
static void *find(const struct symbol_table *table, const char *name)
{
	const uint32_t *head = table->gnu_hash;
	const uint32_t *buckets = head + 4 + head[2] * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
	const uint32_t *chains = buckets + head[0];
	uint32_t hash = gnu_hash(name), first = head[1];

	for (uint32_t i = buckets[hash % head[0]]; i >= first; i++) {
		const ElfW(Sym) *symbol = &table->symbols[i];

		if ((chains[i - first] | 1) == (hash | 1) && symbol->st_shndx != SHN_UNDEF &&
		    same(table->strings + symbol->st_name, name))
			return (void *)(table->base + symbol->st_value);
		if (chains[i - first] & 1)
			break;
	}
	return NULL;
}

static bool is_libc(const char *path)
{
	const char *file = path;

	for (; *path; path++)
		if (*path == '/')
			file = path + 1;
	return begins_with(file, "libc.so") || begins_with(file, "libdl.so");
}

/*
 * The list of objects is read without the dynamic linker's lock: libc is in it from the start.
 */
void *elf_libc_function(const char *name)
{
	void *found = NULL;

	for (const struct link_map *object = _r_debug.r_map; object && !found;
	     object = object->l_next) {
		if (!is_libc(object->l_name))
			continue;
		struct symbol_table table = read_tables(object);
		if (table.symbols && table.strings && table.gnu_hash)
			found = find(&table, name);
	}
	return found;
}
