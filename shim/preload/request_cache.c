/*
 * Requests that were looked up before. What libpq's defaults, the environment and a connection
 * string come to takes longer to work out than all the rest of a connect that finds a backend in the
 * pool; a test suite asks for the same again and again. Owns those requests, for which target.c
 * keeps a lock; they hold passwords, and are wiped with their targets.
 */
#include "request_cache.h"
#include "file_stamp.h"
#include "hash.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More than that are all forgotten: they would be of programs that never ask the same again. */
#define MOST_REQUESTS 256

struct known_request {
	UT_hash_handle hh;
	struct target *target;
	char *passfile; /* "" for the one in HOME; NULL where none is looked at */
	char *stamps;   /* of the password files */
	size_t length;
	char key[];
};

static struct known_request *known;

static void forget(struct known_request *request)
{
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the table is not freed before its last element */
	HASH_DEL(known, request);
	explicit_bzero(request->key, request->length);
	free(request->passfile);
	free(request->stamps);
	free(request);
}

/* A part that ends where its length says, so that no two requests have the same key. */
static void add_part(struct text *key, const char *part)
{
	size_t length = part ? strlen(part) : 0;
	size_t mark = part ? length : SIZE_MAX;

	text_add_bytes(key, (const char *)&mark, sizeof mark);
	text_add_bytes(key, part, length);
}

/* What libpq reads begins with PG, but for two that say where to look for more. */
static void add_environment(struct text *key)
{
	for (char **entry = environ; entry && *entry; entry++)
		if (strncmp(*entry, "PG", 2) == 0 || strncmp(*entry, "HOME=", 5) == 0 ||
		    strncmp(*entry, "KRB5CCNAME=", 11) == 0)
			add_part(key, *entry);
}

bool request_key(struct text *key, const struct request *request)
{
	const char *const login[] = {request->host, request->port, request->options,
	    request->dbname, request->user, request->password};
	uid_t user = geteuid();

	if (!request->login && !request->conninfo && (!request->keywords || !request->values))
		return false;
	text_add_byte(key, request->login ? 'l' : request->conninfo ? 'c' : 'a');
	if (request->login)
		for (size_t i = 0; i < sizeof login / sizeof *login; i++)
			add_part(key, login[i]);
	else if (request->conninfo)
		add_part(key, request->conninfo);
	else {
		text_add_byte(key, request->expand_dbname ? '1' : '0');
		for (size_t i = 0; request->keywords[i]; i++) {
			add_part(key, request->keywords[i]);
			add_part(key, request->values[i]);
		}
	}
	add_part(key, NULL);
	add_environment(key);
	text_add_bytes(key, (const char *)&user, sizeof user);
	return key->bytes;
}

static bool is_current(const struct known_request *request)
{
	struct text now = {0};

	if (!request->passfile)
		return true;
	file_stamp_passwords(&now, request->passfile);
	bool same = now.bytes && strcmp(now.bytes, request->stamps) == 0;
	text_free(&now);
	return same;
}

struct target *request_cache_find(const struct text *key)
{
	struct known_request *found;

	HASH_FIND(hh, known, key->bytes, key->length, found);
	if (found && is_current(found))
		return found->target;
	if (found)
		forget(found);
	return NULL;
}

static bool keep_stamps(struct known_request *request, const char *passfile)
{
	struct text stamps = {0};

	if (!passfile)
		return true;
	file_stamp_passwords(&stamps, passfile);
	request->stamps = text_take(&stamps);
	request->passfile = strdup(passfile);
	return request->stamps && request->passfile;
}

void request_cache_add(const struct text *key, struct target *target, const char *passfile)
{
	struct known_request *request = calloc(1, sizeof *request + key->length);

	if (HASH_COUNT(known) >= MOST_REQUESTS)
		request_cache_forget(NULL);
	if (!request)
		return;
	request->target = target;
	request->length = key->length;
	memcpy(request->key, key->bytes, key->length);
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): as above */
	HASH_ADD(hh, known, key, key->length, request);
	if (!hash_added(request)) {
		explicit_bzero(request->key, request->length);
		free(request);
	} else if (!keep_stamps(request, passfile))
		forget(request);
}

void request_cache_forget(const struct target *target)
{
	struct known_request *request, *next;

	HASH_ITER (hh, known, request, next)
		if (!target || request->target == target)
			forget(request);
}
