/* What tells that a file has changed. See file_stamp.c. */
#ifndef FILE_STAMP_H
#define FILE_STAMP_H

#include "text.h"

/* Its identity, size, mode and times; path may be NULL, and the file need not exist. */
void file_stamp(struct text *text, const char *path);

/* The same of a file in the folder that a variable of the environment names. */
void file_stamp_in(struct text *text, const char *folder_variable, const char *name);

/* Of the files that libpq looks for a password in (libpq manual, "The Password File"). */
void file_stamp_passwords(struct text *text, const char *passfile);

#endif
