/*
 * A symbol of the C library, found without calling the dynamic linker's own look-ups. See
 * elf_symbol.c.
 */
#ifndef ELF_SYMBOL_H
#define ELF_SYMBOL_H

/*
 * The address of a function of libc (before glibc 2.34: of libdl); NULL if there is none. Any
 * thread.
 */
void *elf_libc_function(const char *name);

#endif
