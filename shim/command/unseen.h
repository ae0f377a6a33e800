/* Why a run was not seen. See unseen.c. */
#ifndef UNSEEN_H
#define UNSEEN_H

/* The most likely reason, for a program that has left no trace; as typed, looked up in PATH. */
const char *unseen_reason(const char *program);

#endif
