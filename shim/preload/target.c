/*
 * Connection parameters. Owns the merge of what a program asked for (all of libpq's ways to say it)
 * with libpq's defaults and PQLEASH_DATABASE_URL, and the table of targets in use. Called when a
 * session is opened; never talks to a server.
 */
#include "target.h"
#include "file_stamp.h"
#include "lock.h"
#include "pool.h"
#include "process.h"
#include "request_cache.h"
#include "say.h"
#include "settings.h"
#include "status.h"
#include "text.h"
#include "uri.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static struct target *targets; /* by key */

/* What libpq or the server's start-up reads besides the options that PQconndefaults lists. */
static const char *const more_environment[] = {
    "PGTZ", "PGDATESTYLE", "PGGEQO", "PGSERVICEFILE", "PGSYSCONFDIR", "HOME", "KRB5CCNAME"};

/*
 * Options that say where and as whom, which PQLEASH_DATABASE_URL replaces even where it names none.
 */
static const char *const where_options[] = {
    "service", "host", "hostaddr", "port", "dbname", "user", "password", "passfile"};

/* One request being merged: the defaults, and next to each the explicit value or NULL. */
struct merge {
	PQconninfoOption
	    *options;           /* PQconndefaults: val is what the environment or libpq provides */
	char **explicit_values; /* as many as there are options */
	size_t count;
	bool pgbouncer;
	bool starved; /* there was no memory: what failed was not refused */
};

static bool is_connection_string(const char *text)
{
	return uri_is(text) || strchr(text, '=');
}

static bool merge_set(struct merge *merge, const char *keyword, const char *value)
{
	for (size_t i = 0; i < merge->count; i++) {
		if (strcmp(merge->options[i].keyword, keyword) != 0)
			continue;
		text_wipe(merge->explicit_values[i]);
		merge->explicit_values[i] = value ? strdup(value) : NULL;
		merge->starved |= value && !merge->explicit_values[i];
		return !value || merge->explicit_values[i];
	}
	return false;
}

static const char *merge_explicit(const struct merge *merge, const char *keyword)
{
	for (size_t i = 0; i < merge->count; i++)
		if (strcmp(merge->options[i].keyword, keyword) == 0)
			return merge->explicit_values[i];
	return NULL;
}

/* The value libpq will use. The database's default is the user's name, as in libpq. */
static const char *merge_effective(const struct merge *merge, const char *keyword)
{
	for (size_t i = 0; i < merge->count; i++) {
		if (strcmp(merge->options[i].keyword, keyword) != 0)
			continue;
		if (merge->explicit_values[i])
			return merge->explicit_values[i];
		if (!merge->options[i].val && strcmp(keyword, "dbname") == 0)
			return merge_effective(merge, "user");
		return merge->options[i].val;
	}
	return NULL;
}

/* libpq frees its options as they are, with the passwords in them. */
static void free_options(PQconninfoOption *options)
{
	for (PQconninfoOption *option = options; option && option->keyword; option++)
		if (option->val)
			explicit_bzero(option->val, strlen(option->val));
	REAL(PQconninfoFree)(options);
}

/* libpq takes an empty one for none, and looks the password up. */
static bool has_password(const struct merge *merge)
{
	const char *password = merge_effective(merge, "password");

	return password && password[0];
}

static bool merge_begin(struct merge *merge)
{
	merge->options = REAL(PQconndefaults)();
	merge->starved = !merge->options;
	if (!merge->options)
		return false;
	merge->count = 0;
	while (merge->options[merge->count].keyword)
		merge->count++;
	merge->explicit_values = calloc(merge->count + 1, sizeof *merge->explicit_values);
	merge->starved = !merge->explicit_values;
	return merge->explicit_values != NULL;
}

static void merge_end(struct merge *merge)
{
	for (size_t i = 0; merge->explicit_values && i < merge->count; i++)
		text_wipe(merge->explicit_values[i]);
	free(merge->explicit_values);
	free_options(merge->options);
}

char *target_strip(const char *conninfo)
{
	struct uri_extras extras;

	return uri_strip(conninfo, &extras);
}

/* What a URI carries for the pool itself takes effect when it is used to connect. */
static void obey(const struct uri_extras *extras, struct merge *merge)
{
	if (extras->connection_limit)
		pool_lower_limit(extras->connection_limit);
	if (extras->has_pool_timeout)
		pool_lower_timeout(extras->pool_timeout_ms);
	merge->pgbouncer |= extras->pgbouncer;
}

/* It quotes what libpq does not like. */
static void free_message(char *message)
{
	if (message)
		explicit_bzero(message, strlen(message));
	REAL(PQfreemem)(message);
}

/*
 * What libpq makes of a connection string; NULL if it refuses it, or has no memory to look at it:
 * then it says nothing, or "out of memory" in the user's language, and something else when it is
 * asked again.
 */
static PQconninfoOption *parse(struct merge *merge, const char *conninfo, struct uri_extras *extras)
{
	char *stripped = uri_strip(conninfo, extras), *why = NULL;
	PQconninfoOption *parsed = NULL;

	for (int attempt = 0; stripped && !parsed && attempt < 2; attempt++) {
		free_message(why);
		parsed = REAL(PQconninfoParse)(stripped, &why);
	}
	merge->starved |= !parsed && (!why || strcmp(why, "out of memory\n") == 0);
	free_message(why);
	text_wipe(stripped);
	return parsed;
}

/* Frees what was parsed. */
static bool merge_parsed(
    struct merge *merge, PQconninfoOption *parsed, const struct uri_extras *extras)
{
	bool good = true;

	obey(extras, merge);
	for (PQconninfoOption *option = parsed; option->keyword; option++)
		if (option->val)
			good &= merge_set(merge, option->keyword, option->val);
	free_options(parsed);
	return good;
}

static bool merge_conninfo(struct merge *merge, const char *conninfo)
{
	struct uri_extras extras;
	PQconninfoOption *parsed = parse(merge, conninfo, &extras);

	return parsed && merge_parsed(merge, parsed, &extras);
}

/*
 * Keyword arrays: empty values count as absent, later ones win, and only the first dbname may be a
 * connection string (libpq manual, PQconnectdbParams).
 */
static bool merge_arrays(struct merge *merge, const struct request *request)
{
	bool expand = request->expand_dbname;

	if (!request->keywords || !request->values)
		return false;
	for (size_t i = 0; request->keywords[i]; i++) {
		const char *keyword = request->keywords[i], *value = request->values[i];
		bool is_dbname = strcmp(keyword, "dbname") == 0;
		bool expand_this = expand && is_dbname && value && is_connection_string(value);

		if (is_dbname && value)
			expand = false;
		if (!value || !value[0])
			continue;
		if (!(expand_this ? merge_conninfo(merge, value)
				  : merge_set(merge, keyword, value)))
			return false;
	}
	return true;
}

static bool merge_login(struct merge *merge, const struct request *request)
{
	const char *const pairs[][2] = {{"host", request->host}, {"port", request->port},
	    {"options", request->options}, {"user", request->user},
	    {"password", request->password}};

	if (request->dbname && is_connection_string(request->dbname)) {
		if (!merge_conninfo(merge, request->dbname))
			return false;
	} else if (request->dbname && request->dbname[0] &&
		   !merge_set(merge, "dbname", request->dbname))
		return false;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
		if (pairs[i][1] && pairs[i][1][0] && !merge_set(merge, pairs[i][0], pairs[i][1]))
			return false;
	return true;
}

/* PQLEASH_DATABASE_URL: another place and login; what the program asked of its sessions stays. */
static bool merge_database_url(struct merge *merge)
{
	static bool said;
	const char *url = settings()->database_url;
	struct uri_extras extras;
	PQconninfoOption *parsed = url ? parse(merge, url, &extras) : NULL;

	/* Not to where the program wanted to go. */
	if (merge->starved)
		return false;
	if (!parsed) {
		if (url && !__atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
			say("PQLEASH_DATABASE_URL is not a connection URL that libpq accepts; "
			    "it is ignored");
		return true;
	}
	for (size_t i = 0; i < sizeof where_options / sizeof *where_options; i++)
		merge_set(merge, where_options[i], NULL);
	return merge_parsed(merge, parsed, &extras);
}

/* What libpq takes for a connect timeout: a whole number, perhaps with blanks around it. */
static bool is_timeout(const char *text, long *seconds)
{
	char *end;

	*seconds = strtol(text, &end, 10);
	return end > text && !end[strspn(end, " \t\n\v\f\r")] && *seconds >= INT_MIN &&
	       *seconds <= INT_MAX;
}

/*
 * How long a connect may take; then every option's effective value and everything else that could
 * make two connections differ, from *shared on. A timeout that libpq refuses is among these.
 */
static char *merge_key(const struct merge *merge, size_t *shared)
{
	const char *asked = merge_effective(merge, "connect_timeout");
	struct text key = {0};
	long timeout;

	text_add(&key, "%s\n", asked ? asked : "");
	*shared = key.length;
	for (size_t i = 0; i < merge->count; i++) {
		const char *keyword = merge->options[i].keyword;
		const char *value = merge_effective(merge, keyword);

		if (value &&
		    (strcmp(keyword, "connect_timeout") != 0 || !is_timeout(value, &timeout)))
			text_add(&key, "%s=%zu:%s\n", keyword, strlen(value), value);
	}
	for (size_t i = 0; i < sizeof more_environment / sizeof *more_environment; i++) {
		const char *value = secure_getenv(more_environment[i]);

		if (value)
			text_add(&key, "%s=%s\n", more_environment[i], value);
	}
	if (merge_explicit(merge, "service")) {
		file_stamp(&key, secure_getenv("PGSERVICEFILE"));
		file_stamp_in(&key, "HOME", ".pg_service.conf");
		file_stamp_in(&key, "PGSYSCONFDIR", "pg_service.conf");
	}
	if (!has_password(merge))
		file_stamp_passwords(&key, merge_effective(merge, "passfile"));
	if (merge->pgbouncer)
		text_add(&key, "pgbouncer\n");
	return text_take(&key);
}

static void add_quoted(struct text *conninfo, const char *keyword, const char *value)
{
	text_add(conninfo, "%s='", keyword);
	for (const char *byte = value; *byte; byte++) {
		if (*byte == '\'' || *byte == '\\')
			text_add_byte(conninfo, '\\');
		text_add_byte(conninfo, *byte);
	}
	text_add(conninfo, "' ");
}

/*
 * Our connect timeout, unless the program's own is shorter. libpq takes none, 0 and negative
 * numbers as "wait for ever", and refuses what is not a number: that is left for it to say.
 */
static void add_connect_timeout(struct text *conninfo, const char *asked)
{
	long ours = (settings()->connect_timeout_ms + 999) / 1000;
	long theirs = 0;

	if (asked && !is_timeout(asked, &theirs))
		add_quoted(conninfo, "connect_timeout", asked);
	else
		text_add(
		    conninfo, "connect_timeout=%ld ", theirs > 0 && theirs < ours ? theirs : ours);
}

static char *merge_to_conninfo(const struct merge *merge)
{
	struct text conninfo = {0};

	for (size_t i = 0; i < merge->count; i++)
		if (merge->explicit_values[i] &&
		    strcmp(merge->options[i].keyword, "connect_timeout") != 0)
			add_quoted(&conninfo, merge->options[i].keyword, merge->explicit_values[i]);
	add_connect_timeout(&conninfo, merge_effective(merge, "connect_timeout"));
	return text_take(&conninfo);
}

static bool same(const char *one, const char *other)
{
	return one == other || (one && other && strcmp(one, other) == 0);
}

/* A service stands for other options, once it has been found. */
static bool is_service(const PQconninfoOption *option)
{
	return strncmp(option->keyword, "service", strlen("service")) == 0;
}

/* Whether there is a value for all that these have one for. Frees these. */
static bool has_all(const PQconninfoOption *options, PQconninfoOption *wanted)
{
	bool good = wanted != NULL;

	for (size_t i = 0; good && wanted[i].keyword; i++)
		good =
		    options[i].val || !wanted[i].val || !wanted[i].val[0] || is_service(&wanted[i]);
	free_options(wanted);
	return good;
}

/* Whether they are the same values. Frees the others. */
static bool is_same(const PQconninfoOption *options, PQconninfoOption *others)
{
	bool good = others != NULL;

	for (size_t i = 0; good && options[i].keyword; i++)
		good = same(options[i].val, others[i].val);
	free_options(others);
	return good;
}

/*
 * What libpq has found out; NULL where it had no memory for all of it: a connection that failed for
 * that has a part of its options, and PQconninfo leaves out of its answer what it cannot copy.
 * Without a host, say, we would go on to another server.
 */
static PQconninfoOption *read_options(const struct target *target, PGconn *conn)
{
	PQconninfoOption *options = REAL(PQconninfo)(conn);

	if (!options)
		return NULL;
	if (is_same(options, REAL(PQconninfo)(conn)) && has_all(options, REAL(PQconndefaults)()) &&
	    has_all(options, REAL(PQconninfoParse)(target->conninfo, NULL)))
		return options;
	free_options(options);
	return NULL;
}

/*
 * A session may be attached again when the program has long changed its environment and its service
 * file: libpq is then told all that it found out by itself when it connected first.
 */
void target_resolve(struct target *target, const PGconn *conn)
{
	struct text conninfo = {0};
	char *none = NULL;

	if (target_conninfo(target) != target->conninfo)
		return;
	PQconninfoOption *options = read_options(target, (PGconn *)conn);
	for (PQconninfoOption *option = options; option && option->keyword; option++)
		if (option->val && strcmp(option->keyword, "connect_timeout") != 0 &&
		    !is_service(option))
			add_quoted(&conninfo, option->keyword, option->val);
	free_options(options);
	/* Nothing at all where libpq did not find the service. */
	if (conninfo.length > 0)
		add_connect_timeout(&conninfo, target->connect_timeout);
	char *resolved = text_take(&conninfo);
	if (!__atomic_compare_exchange_n(
		&target->resolved, &none, resolved, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		text_wipe(resolved);
}

const char *target_conninfo(const struct target *target)
{
	const char *resolved = __atomic_load_n(&target->resolved, __ATOMIC_ACQUIRE);

	return resolved ? resolved : target->conninfo;
}

static char *merge_label(const struct merge *merge)
{
	static const char *const keywords[] = {"user", "host", "port", "dbname"};
	const char *values[4];
	struct text label = {0};

	for (size_t i = 0; i < 4; i++) {
		values[i] = merge_effective(merge, keywords[i]);
		/* A connection string in dbname could carry a password. */
		if (!values[i] || is_connection_string(values[i]))
			values[i] = "";
	}
	text_add(&label, "%s@%s:%s/%s", values[0], values[1], values[2], values[3]);
	return text_take(&label);
}

static char *merge_server(const struct merge *merge)
{
	const char *host = merge_effective(merge, "hostaddr"), *port;
	struct text server = {0};

	if (!host)
		host = merge_effective(merge, "host");
	port = merge_effective(merge, "port");
	text_add(&server, "%s:%s", host ? host : "", port ? port : "");
	return text_take(&server);
}

static void identity_free(struct identity *identity)
{
	char *const kept[] = {identity->db, identity->user, identity->pass, identity->host,
	    identity->hostaddr, identity->port, identity->tty, identity->options,
	    identity->service};

	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
		text_wipe(kept[i]);
	free(identity);
}

static void target_free(struct target *target)
{
	for (struct identity *next; target->identities; target->identities = next) {
		next = target->identities->next;
		identity_free(target->identities);
	}
	text_wipe(target->key);
	text_wipe(target->conninfo);
	text_wipe(target->resolved);
	statuses_free(target->statuses);
	text_wipe(target->label);
	free(target->server);
	free(target->connect_timeout);
	free(target);
}

/* What is set for a session may be another's after its next transaction there. */
static void tell_unguarded(void)
{
	static bool told;

	if (settings()->statement_timeout_ms > 0 &&
	    !__atomic_exchange_n(&told, true, __ATOMIC_RELAXED))
		say("PQLEASH_STATEMENT_TIMEOUT has no effect behind a pooler in transaction mode; "
		    "set statement_timeout for the role or the database");
}

static struct target *target_make(const struct merge *merge, char *key, size_t shared)
{
	struct target *target = calloc(1, sizeof *target);
	const char *replication = merge_effective(merge, "replication");
	const char *asked = merge_effective(merge, "connect_timeout");

	if (!target) {
		text_wipe(key);
		return NULL;
	}
	target->key = key;
	target->shared = key + shared;
	target->conninfo = merge_to_conninfo(merge);
	target->label = merge_label(merge);
	target->server = merge_server(merge);
	target->connect_timeout = asked ? strdup(asked) : NULL;
	target->pgbouncer = merge->pgbouncer;
	if (target->pgbouncer)
		tell_unguarded();
	target->replication = replication && replication[0] && strcmp(replication, "false") != 0 &&
			      strcmp(replication, "off") != 0 && strcmp(replication, "no") != 0 &&
			      strcmp(replication, "0") != 0;
	if (target->conninfo && target->label && target->server &&
	    (target->connect_timeout || !asked))
		return target;
	target_free(target);
	return NULL;
}

/* The target with this merge's key, an existing one if there is one. */
static struct target *target_look_up(const struct merge *merge)
{
	struct target *target = NULL;
	size_t shared;
	char *key = merge_key(merge, &shared);

	if (!key)
		return NULL;
	lock_take(LOCK_TARGETS);
	HASH_FIND_STR(targets, key, target);
	if (target)
		text_wipe(key);
	else {
		target = target_make(merge, key, shared);
		if (target)
			HASH_ADD_KEYPTR(hh, targets, target->key, strlen(target->key), target);
		if (target && !hash_added(target)) {
			target_free(target);
			target = NULL;
		}
	}
	if (target)
		target->references++;
	lock_release(LOCK_TARGETS);
	return target;
}

static struct target *find_known(const struct text *key)
{
	lock_take(LOCK_TARGETS);
	struct target *target = request_cache_find(key);
	if (target)
		target->references++;
	lock_release(LOCK_TARGETS);
	return target;
}

/* Not where a service file would have to be read to know whether it is still the same. */
static void remember(const struct text *key, struct target *target, const struct merge *merge)
{
	const char *passfile = merge_effective(merge, "passfile");

	if (merge_effective(merge, "service"))
		return;
	if (!passfile)
		passfile = "";
	lock_take(LOCK_TARGETS);
	request_cache_add(key, target, has_password(merge) ? NULL : passfile);
	lock_release(LOCK_TARGETS);
}

/* key: what the request is remembered by; nothing where it cannot be */
static struct target *find_by_merging(
    const struct request *request, const struct text *key, bool *starved)
{
	struct merge merge = {.pgbouncer = settings()->pgbouncer};
	struct target *target = NULL;
	bool good = merge_begin(&merge);

	if (good && request->login)
		good = merge_login(&merge, request);
	else if (good && request->conninfo)
		good = merge_conninfo(&merge, request->conninfo);
	else if (good)
		good = merge_arrays(&merge, request);
	good = good && merge_database_url(&merge);
	if (good)
		target = target_look_up(&merge);
	if (target && key->bytes)
		remember(key, target, &merge);
	merge_end(&merge);
	*starved = merge.starved || (good && !target);
	return target;
}

struct target *target_find(const struct request *request, bool *starved)
{
	NO_CANCEL();
	struct text key = {0};
	struct target *target = NULL;

	*starved = false;
	if (request_key(&key, request))
		target = find_known(&key);
	if (!target)
		target = find_by_merging(request, &key, starved);
	text_free(&key);
	return target;
}

bool target_shares(const struct target *one, const struct target *other)
{
	return one == other || strcmp(one->shared, other->shared) == 0;
}

struct target *target_hold(struct target *target)
{
	lock_take(LOCK_TARGETS);
	target->references++;
	lock_release(LOCK_TARGETS);
	return target;
}

void target_release(struct target *target)
{
	if (!target)
		return;
	lock_take(LOCK_TARGETS);
	bool last = --target->references == 0;
	if (last) {
		request_cache_forget(target);
		HASH_DEL(targets, target);
	}
	lock_release(LOCK_TARGETS);
	if (last)
		target_free(target);
}

void target_doubt_all(void)
{
	lock_take(LOCK_TARGETS);
	for (struct target *target = targets; target; target = target->hh.next)
		target->known_good = false;
	lock_release(LOCK_TARGETS);
}

/* False where there is no memory for it. */
static bool copy(char **to, const char *text)
{
	*to = text ? strdup(text) : NULL;
	return *to || !text;
}

/* All of it or nothing: libpq never answers NULL for a connection that is there. */
static struct identity *identity_make(const PGconn *conn)
{
	struct identity *identity = calloc(1, sizeof *identity);

	if (!identity)
		return NULL;
	bool good = copy(&identity->db, REAL(PQdb)(conn));
	good &= copy(&identity->user, REAL(PQuser)(conn));
	good &= copy(&identity->pass, REAL(PQpass)(conn));
	good &= copy(&identity->host, REAL(PQhost)(conn));
	if (HAS(PQhostaddr))
		good &= copy(&identity->hostaddr, REAL(PQhostaddr)(conn));
	good &= copy(&identity->port, REAL(PQport)(conn));
	good &= copy(&identity->tty, REAL(PQtty)(conn));
	good &= copy(&identity->options, REAL(PQoptions)(conn));
	if (HAS(PQservice))
		good &= copy(&identity->service, REAL(PQservice)(conn));
	if (!good) {
		identity_free(identity);
		return NULL;
	}
	identity->server_version = REAL(PQserverVersion)(conn);
	identity->protocol_version = REAL(PQprotocolVersion)(conn);
	identity->client_encoding = REAL(PQclientEncoding)(conn);
	if (HAS(PQfullProtocolVersion))
		identity->full_protocol_version = REAL(PQfullProtocolVersion)(conn);
	return identity;
}

void target_succeeded(struct target *target, const PGconn *conn)
{
	lock_take(LOCK_TARGETS);
	statuses_keep(&target->statuses, conn);
	lock_release(LOCK_TARGETS);
	__atomic_store_n(&target->known_good, true, __ATOMIC_RELEASE);
}

const struct identity *target_identify(struct target *target, const PGconn *conn)
{
	struct identity *identity;

	lock_take(LOCK_TARGETS);
	for (identity = target->identities; identity; identity = identity->next)
		if (same(identity->host, REAL(PQhost)(conn)) &&
		    same(identity->port, REAL(PQport)(conn)) &&
		    identity->server_version == REAL(PQserverVersion)(conn))
			break;
	if (!identity) {
		identity = identity_make(conn);
		if (identity) {
			identity->next = target->identities;
			target->identities = identity;
		}
	}
	lock_release(LOCK_TARGETS);
	return identity;
}
