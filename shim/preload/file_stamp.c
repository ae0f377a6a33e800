/*
 * Stamps of files: a changed password or service file makes another target of the same request. Owns
 * how a change is told; what is in the files is libpq's business.
 */
#include "file_stamp.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

void file_stamp(struct text *text, const char *path)
{
	struct stat file;

	if (path && stat(path, &file) == 0)
		text_add(text, "%ju.%ju.%jo.%jd.%ld.%jd.%ld", (uintmax_t)file.st_ino,
		    (uintmax_t)file.st_size, (uintmax_t)file.st_mode, (intmax_t)file.st_mtim.tv_sec,
		    file.st_mtim.tv_nsec, (intmax_t)file.st_ctim.tv_sec, file.st_ctim.tv_nsec);
	text_add_byte(text, '\n');
}

void file_stamp_in(struct text *text, const char *folder_variable, const char *name)
{
	const char *folder = secure_getenv(folder_variable);
	struct text path = {0};

	text_add(&path, "%s/%s", folder ? folder : "", name);
	file_stamp(text, path.bytes);
	text_free(&path);
}

void file_stamp_passwords(struct text *text, const char *passfile)
{
	file_stamp(text, passfile);
	file_stamp_in(text, "HOME", ".pgpass");
}
