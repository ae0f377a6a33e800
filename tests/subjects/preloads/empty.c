/*
 * A preload that does nothing: what the least costs. It has data beyond the pages of its file, as
 * any real one has, for which the loader makes one system call more.
 */
static char empty[1 << 14] __attribute__((used));
