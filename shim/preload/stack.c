/*
 * Stacks of the program, as return addresses. Owns which of them the trace knows already: each is
 * told once, by module and offset, because a module may be unloaded, and its addresses another's,
 * by the time somebody wants names. Naming is the command's business.
 */
#include "stack.h"
#include "lock.h"
#include "trace.h"
#include "unwinding.h"

#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "hash.h"

#define MOST_FRAMES 128

struct known {
	UT_hash_handle hh;
	unsigned long number;
	uintptr_t addresses[];
};

struct module {
	struct module *next;
	uintptr_t base, begin, end; /* begin and end: of its segments */
	unsigned number;
};

static struct known *stacks;
static struct module *modules;
static unsigned long last_stack;
static unsigned last_module;
static unsigned long long unloads; /* how many objects had been unloaded at the last look */

void stack_forget_all(void)
{
	stacks = NULL;
	modules = NULL;
	last_stack = last_module = 0;
}

/* ---- Modules ---- */

static void find_range(const struct dl_phdr_info *info, struct module *module)
{
	module->base = info->dlpi_addr;
	module->begin = UINTPTR_MAX;
	module->end = 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t begin = info->dlpi_addr + segment->p_vaddr;

		if (segment->p_type != PT_LOAD)
			continue;
		if (begin < module->begin)
			module->begin = begin;
		if (begin + segment->p_memsz > module->end)
			module->end = begin + segment->p_memsz;
	}
}

/* In a note everything begins at a multiple of four. */
static size_t rounded(uint32_t size)
{
	return ((size_t)size + 3) / 4 * 4;
}

/* The GNU build-id note, in hexadecimal. */
static void add_build_id(struct text *line, const struct dl_phdr_info *info)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		const char *at = (const char *)(info->dlpi_addr + segment->p_vaddr);
		const char *end = at + segment->p_memsz;

		while (segment->p_type == PT_NOTE && at + sizeof(ElfW(Nhdr)) <= end) {
			const ElfW(Nhdr) *note = (const void *)at;
			const char *name = at + sizeof *note;
			const unsigned char *bytes = (const void *)(name + rounded(note->n_namesz));

			at = (const char *)bytes + rounded(note->n_descsz);
			if (note->n_type != NT_GNU_BUILD_ID || note->n_namesz != 4 ||
			    (const char *)bytes + note->n_descsz > end ||
			    memcmp(name, "GNU", 4) != 0)
				continue;
			text_add(line, ",\"build_id\":\"");
			for (ElfW(Word) byte = 0; byte < note->n_descsz; byte++)
				text_add(line, "%02x", bytes[byte]);
			text_add_byte(line, '"');
			return;
		}
	}
}

static void tell_module(const struct module *module, const struct dl_phdr_info *info)
{
	char own[4096] = "";
	struct text line = trace_line(TRACE_MODULE);

	if (!info->dlpi_name[0] && readlink("/proc/self/exe", own, sizeof own - 1) < 0)
		own[0] = '\0';
	text_add(&line, ",\"module\":%u", module->number);
	trace_add(&line, "path", info->dlpi_name[0] ? info->dlpi_name : own);
	add_build_id(&line, info);
	trace_put(&line);
}

struct search {
	uintptr_t address;
	struct module *found;
};

static int look_in(struct dl_phdr_info *info, size_t size, void *argument)
{
	struct search *search = argument;
	struct module module;

	(void)size;
	find_range(info, &module);
	if (search->address < module.begin || search->address >= module.end)
		return 0;
	search->found = malloc(sizeof module);
	if (search->found) {
		module.number = ++last_module;
		module.next = modules;
		modules = search->found;
		*modules = module;
		tell_module(modules, info);
	}
	return 1;
}

/* Under the lock. NULL: code that no object has, as of a just-in-time compiler. */
static const struct module *module_at(uintptr_t address)
{
	struct search search = {.address = address};

	for (const struct module *module = modules; module; module = module->next)
		if (address >= module->begin && address < module->end)
			return module;
	dl_iterate_phdr(look_in, &search);
	return search.found;
}

static int read_unloads(struct dl_phdr_info *info, size_t size, void *argument)
{
	(void)size;
	*(unsigned long long *)argument = info->dlpi_subs;
	return 1;
}

/* What was known of addresses does not count any more once an object has gone. */
static void notice_unloads(void)
{
	unsigned long long now = 0;

	dl_iterate_phdr(read_unloads, &now);
	if (now == unloads)
		return;
	unloads = now;
	struct known *stack = stacks;
	HASH_CLEAR(hh, stacks); /* frees only its own table */
	for (struct known *next; stack; stack = next) {
		next = stack->hh.next;
		free(stack);
	}
	for (struct module *next; modules; modules = next) {
		next = modules->next;
		free(modules);
	}
}

/* ---- Stacks ---- */

static int find_own(struct dl_phdr_info *info, size_t size, void *argument)
{
	struct module *own = argument;
	struct module module;

	(void)size;
	find_range(info, &module);
	if ((uintptr_t)find_own < module.begin || (uintptr_t)find_own >= module.end)
		return 0;
	*own = module;
	return 1;
}

/* How many of the innermost frames are ours. */
static size_t count_own(const uintptr_t *addresses, size_t count)
{
	static struct module own;
	size_t ours = 0;

	if (own.end == 0)
		dl_iterate_phdr(find_own, &own);
	while (ours < count && addresses[ours] >= own.begin && addresses[ours] < own.end)
		ours++;
	return ours;
}

static void tell_stack(const struct known *stack, size_t count)
{
	struct text line = trace_line(TRACE_STACK);

	text_add(&line, ",\"stack\":%lu,\"frames\":[", stack->number);
	for (size_t i = 0; i < count; i++) {
		const struct module *module = module_at(stack->addresses[i]);

		text_add(&line, "%s[%u,%llu]", i ? "," : "", module ? module->number : 0,
		    (unsigned long long)(stack->addresses[i] - (module ? module->base : 0)));
	}
	text_add_byte(&line, ']');
	trace_put(&line);
}

unsigned long stack_now(void)
{
	uintptr_t addresses[MOST_FRAMES];
	size_t count = unwind_stack(addresses, MOST_FRAMES);
	size_t ours = count_own(addresses, count);
	const uintptr_t *theirs = addresses + ours;
	struct known *found;
	unsigned long number = 0;

	count -= ours;
	if (count == 0)
		return 0;
	lock_take(LOCK_STACKS);
	notice_unloads();
	HASH_FIND(hh, stacks, theirs, count * sizeof *theirs, found);
	if (!found && (found = calloc(1, sizeof *found + count * sizeof *theirs))) {
		memcpy(found->addresses, theirs, count * sizeof *theirs);
		found->number = ++last_stack;
		tell_stack(found, count);
		HASH_ADD(hh, stacks, addresses, count * sizeof *theirs, found);
		number = found->number;
		if (!hash_added(found))
			free(found);
	} else if (found)
		number = found->number;
	lock_release(LOCK_STACKS);
	return number;
}
