/*
 * Connection URIs as other drivers' users write them:
 * ?connection_limit=3&pool_timeout=5&pgbouncer=true. libpq refuses parameters it does not know, so
 * ours are taken out. Owns nothing but this text; what the numbers then do is up to the pool.
 */
#include "uri.h"
#include "pqleash_settings_check.h"
#include "say.h"
#include "text.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

bool uri_is(const char *text)
{
	return strncmp(text, "postgresql://", 13) == 0 || strncmp(text, "postgres://", 11) == 0;
}

/*
 * Where the parameters begin. A '?' may stand in a password, which ends at the '@' before the first
 * '/'.
 */
static const char *find_parameters(const char *uri)
{
	const char *host = strstr(uri, "://") + 3;
	size_t user_length = strcspn(host, "@/");

	if (host[user_length] == '@')
		host += user_length + 1;
	return strchr(host, '?');
}

static bool take_flag(const char *value, bool *flag)
{
	*flag = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
	return *flag || strcmp(value, "false") == 0 || strcmp(value, "0") == 0;
}

static bool take_pool_timeout(const char *value, struct uri_extras *extras)
{
	if (!setting_seconds(value, 0, 86400, &extras->pool_timeout_ms))
		return false;
	/* As in Prisma's URLs, 0 means: wait for ever. */
	if (extras->pool_timeout_ms == 0)
		extras->pool_timeout_ms = LONG_MAX;
	extras->has_pool_timeout = true;
	return true;
}

/* Takes one name=value if it is ours. */
static bool take(const char *parameter, size_t length, struct uri_extras *extras)
{
	static const char *const names[] = {"connection_limit", "pool_timeout", "pgbouncer"};
	static bool said[3];
	const char *equals = memchr(parameter, '=', length);
	size_t name_length = equals ? (size_t)(equals - parameter) : length;
	bool good = false;
	size_t which;

	for (which = 0; which < 3; which++)
		if (strlen(names[which]) == name_length &&
		    strncmp(names[which], parameter, name_length) == 0)
			break;
	if (which == 3)
		return false;
	char *value = equals ? strndup(equals + 1, length - name_length - 1) : NULL;
	if (value && which == 0)
		good = setting_number(value, 1, 10000, &extras->connection_limit);
	else if (value && which == 1)
		good = take_pool_timeout(value, extras);
	else if (value)
		good = take_flag(value, &extras->pgbouncer);
	if (!good && !__atomic_exchange_n(&said[which], true, __ATOMIC_RELAXED))
		say("the URI parameter %s has no usable value; it is ignored", names[which]);
	text_wipe(value);
	return true;
}

char *uri_strip(const char *conninfo, struct uri_extras *extras)
{
	char *stripped = strdup(conninfo);
	const char *parameters = uri_is(conninfo) ? find_parameters(conninfo) : NULL;

	*extras = (struct uri_extras){0};
	if (!stripped || !parameters)
		return stripped;
	char *end = stripped + (parameters - conninfo);
	char separator = '?';
	while (*parameters) {
		const char *parameter = parameters + 1;
		size_t length = strcspn(parameter, "&");

		if (!take(parameter, length, extras)) {
			*end++ = separator;
			memcpy(end, parameter, length);
			end += length;
			separator = '&';
		}
		parameters = parameter + length;
	}
	/* What is left of the longer text may be the end of a password. */
	explicit_bzero(end, strlen(end));
	return stripped;
}
