/*
 * Getting libpqleash.so into LD_PRELOAD. Owns where the object is looked for and what is kept of an
 * LD_PRELOAD that was there before. Changes nothing but that one variable, says nothing.
 */
#include "ld_preload.h"

#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folder of this command's real file, so that a symlink to it works from anywhere. */
static bool own_folder(char folder[PATH_MAX])
{
	ssize_t length = readlink("/proc/self/exe", folder, PATH_MAX - 1);

	if (length <= 0)
		return false;
	folder[length] = '\0';
	char *slash = strrchr(folder, '/');
	if (!slash)
		return false;
	*slash = '\0';
	return true;
}

static int copy_if_libc(struct dl_phdr_info *loaded, size_t size, void *path)
{
	(void)size;
	if (!strstr(loaded->dlpi_name, "/libc.so."))
		return 0;
	snprintf(path, PATH_MAX, "%s", loaded->dlpi_name);
	return 1;
}

/*
 * "x86_64-linux-gnu" where libraries are in folders of that name: libc is. Elsewhere "lib64", say.
 */
static const char *multiarch_folder(char buffer[PATH_MAX])
{
	if (!dl_iterate_phdr(copy_if_libc, buffer))
		return "";
	*strrchr(buffer, '/') = '\0';
	char *slash = strrchr(buffer, '/');
	return slash ? slash + 1 : "";
}

/* The object in this folder, if it is there; the path comes out without dots and links. */
static bool is_in(const char *folder, char path[PATH_MAX])
{
	char *real_folder = realpath(folder, NULL);
	struct stat file;

	if (!real_folder)
		return false;
	int length = snprintf(path, PATH_MAX, "%s/" OBJECT_NAME, real_folder);
	free(real_folder);
	return length < PATH_MAX && stat(path, &file) == 0 && S_ISREG(file.st_mode);
}

bool object_find(char path[PATH_MAX])
{
	char own[PATH_MAX], libc[PATH_MAX], candidate[3 * PATH_MAX];
	const char *const folders[] = {"/.", "/../lib", "/../lib64"};

	if (!own_folder(own))
		return false;
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		snprintf(candidate, sizeof candidate, "%s%s", own, folders[i]);
		if (is_in(candidate, path))
			return true;
	}
	snprintf(candidate, sizeof candidate, "%s/../lib/%s", own, multiarch_folder(libc));
	return is_in(candidate, path);
}

bool ld_preload_carries(const char *path)
{
	/* The blanks of glibc's and, behind the first two, musl's ld.so. */
	return !strpbrk(path, " :\t\n\v\f\r");
}

static int is_this_object(struct dl_phdr_info *loaded, size_t size, void *wanted)
{
	const struct stat *object = wanted;
	struct stat file;

	(void)size;
	return stat(loaded->dlpi_name, &file) == 0 && file.st_dev == object->st_dev &&
	       file.st_ino == object->st_ino;
}

/*
 * We run under the same LD_PRELOAD, so ld.so has already worked out what its entries are: names
 * without a folder, $LIB, links. Only the same file counts: another one of that name is not ours to
 * judge.
 */
static bool is_preloaded(const char *path)
{
	struct stat object;

	return stat(path, &object) == 0 && dl_iterate_phdr(is_this_object, &object) != 0;
}

bool ld_preload_add(const char *path)
{
	const char *existing = getenv("LD_PRELOAD");
	char *entries;

	if (!existing || !*existing)
		return setenv("LD_PRELOAD", path, 1) == 0;
	if (is_preloaded(path))
		return true;
	if (asprintf(&entries, "%s:%s", existing, path) < 0)
		return false;
	bool set = setenv("LD_PRELOAD", entries, 1) == 0;
	free(entries);
	return set;
}
