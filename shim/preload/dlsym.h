/* The dlsym behind ours. See dlsym.c. */
#ifndef DLSYM_H
#define DLSYM_H

/*
 * dlsym(3) as if we had not interposed it; with RTLD_NEXT it finds what comes after this object.
 * Any thread; not async-signal-safe.
 */
void *real_dlsym(void *handle, const char *name);

#endif
