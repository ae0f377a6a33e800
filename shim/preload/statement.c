/*
 * A look at SQL text for the few things the server cannot tell afterwards. Only the first two
 * keywords decide whether idle backends are in the way; beyond that the text is searched, not
 * parsed: a false find costs a little speed, never an answer. Owns the list of custom settings
 * seen.
 */
#include "statement.h"
#include "backend.h"
#include "lock.h"
#include "pool.h"
#include "session.h"
#include "settings.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *custom_names[MOST_CUSTOM_SETTINGS];
static size_t custom_names_count;
static bool custom_names_overflowed;

/* Under the lock. */
static const char *custom_find(const char *name, size_t length)
{
	for (size_t i = 0; i < custom_names_count; i++)
		if (strncasecmp(custom_names[i], name, length) == 0 && !custom_names[i][length])
			return custom_names[i];
	return NULL;
}

/* Under the lock. */
static const char *custom_add(const char *name, size_t length)
{
	static char room[MOST_CUSTOM_SETTINGS * 64];
	static size_t used;

	/* Never for want of memory: then no session could move any more. */
	if (custom_names_count == MOST_CUSTOM_SETTINGS || length >= sizeof room - used) {
		__atomic_store_n(&custom_names_overflowed, true, __ATOMIC_RELAXED);
		return NULL;
	}
	char *added = memcpy(room + used, name, length);
	added[length] = '\0';
	used += length + 1;
	custom_names[custom_names_count] = added;
	__atomic_store_n(&custom_names_count, custom_names_count + 1, __ATOMIC_RELEASE);
	return added;
}

const char *custom_intern(const char *name, size_t length)
{
	lock_take(LOCK_CUSTOM_NAMES);
	const char *found = custom_find(name, length);
	if (!found)
		found = custom_add(name, length);
	lock_release(LOCK_CUSTOM_NAMES);
	return found;
}

size_t custom_count(void)
{
	return __atomic_load_n(&custom_names_count, __ATOMIC_ACQUIRE);
}

const char *custom_name(size_t index)
{
	return custom_names[index];
}

bool custom_overflowed(void)
{
	return __atomic_load_n(&custom_names_overflowed, __ATOMIC_RELAXED);
}

/*
 * What a byte may be: white space; of an unquoted name, where those of other encodings may be
 * letters; inside a word, which a dollar is not, as it may be the end of a quote: $$SET a.b = 1$$.
 */
enum { BLANK = 1, WORD = 2, INSIDE = 4 };

static inline bool is(char byte, unsigned what)
{
	static const unsigned char classes[256] = {['\t' ... '\r'] = BLANK,
	    [' '] = BLANK,
	    ['$'] = WORD,
	    ['0' ... '9'] = WORD | INSIDE,
	    ['A' ... 'Z'] = WORD | INSIDE,
	    ['a' ... 'z'] = WORD | INSIDE,
	    ['_'] = WORD | INSIDE,
	    [0x80 ... 0xff] = WORD | INSIDE};

	return classes[(unsigned char)byte] & what;
}

/* Past white space and comments; block comments nest in PostgreSQL. */
static const char *skip_blank(const char *text)
{
	for (;;) {
		if (is(*text, BLANK))
			text++;
		else if (text[0] == '-' && text[1] == '-')
			text += strcspn(text, "\n");
		else if (text[0] == '/' && text[1] == '*') {
			int depth = 0;

			do {
				bool opens = text[0] == '/' && text[1] == '*';
				bool closes = text[0] == '*' && text[1] == '/';

				depth += opens - closes;
				text += opens || closes ? 2 : 1;
			} while (depth > 0 && *text);
		} else
			return text;
	}
}

/* Whether the text begins so; what in lower case. */
static inline bool begins(const char *text, const char *what)
{
	while (*what && (*text == *what || (*text | 0x20) == *what))
		text++, what++;
	return !*what;
}

/* If the text begins with the word, what follows it; else NULL. */
static inline const char *after_word(const char *text, const char *word)
{
	if (!begins(text, word))
		return NULL;
	text += strlen(word);
	return is(*text, WORD) ? NULL : skip_blank(text);
}

static const char *after_any(const char *text, const char *const *words)
{
	const char *after = NULL;

	for (; *words && !after; words++)
		after = after_word(text, *words);
	return after;
}

/* The text from its first word on. */
static bool changes_login(const char *first)
{
	static const char *const things[] = {"database", "role", "user", "group", NULL};
	const char *second = after_word(first, "alter");

	if (second && after_word(second, "system"))
		return true;
	if (!second && !(second = after_word(first, "create")))
		second = after_word(first, "drop");
	return second && after_any(second, things);
}

/* How much of the text could be a custom setting's name: words with at least one dot between. */
static size_t custom_length(const char *text)
{
	size_t length = 0;
	bool dot = false;

	for (; is(text[length], WORD) || text[length] == '.'; length++) {
		if (text[length] & 0x80)
			return 0;
		dot |= text[length] == '.';
	}
	return dot && text[0] != '.' && !isdigit((unsigned char)text[0]) && text[length - 1] != '.'
		   ? length
		   : 0;
}

/* Of longer words the server leaves off the rest, without a word to us. */
#define MOST_NAME 63

/* A name without its quotes and blanks, as far as it is all of bytes that a plain name has. */
struct name {
	char bytes[128];
	size_t length;
	bool unreadable;
};

static void add_to_name(struct name *name, const char *part, size_t length)
{
	name->unreadable |= length > MOST_NAME || length >= sizeof name->bytes - name->length;
	for (size_t i = 0; !name->unreadable && i < length; i++) {
		name->unreadable = part[i] & 0x80 || !(is(part[i], WORD) || part[i] == '.');
		name->bytes[name->length++] = part[i];
	}
}

/* Behind one part of a name, quoted or not, and what is blank; NULL when there is none. */
static const char *after_part(const char *text, bool *dot, struct name *name)
{
	bool decoded = (*text | 0x20) == 'u' && text[1] == '&';
	const char *begin = decoded ? text + 2 : text, *end;

	if (*begin == '"') {
		end = strchr(++begin, '"');
		if (!end)
			return NULL;
		*dot |= memchr(begin, '.', (size_t)(end - begin)) != NULL;
		name->unreadable |= decoded;
		add_to_name(name, begin, (size_t)(end - begin));
		return skip_blank(end + 1);
	}
	for (end = text; is(*end, WORD);)
		end++;
	add_to_name(name, text, (size_t)(end - text));
	return end > text && !isdigit((unsigned char)*text) ? skip_blank(end) : NULL;
}

/*
 * Is a custom setting set whose name is not written in one plain word: "a.b", "a"."b", a . b?
 * UPDATE t SET "column" = ... sets none, nor does a sentence in a literal: "All set now. Go to ..."
 */
static bool sets_hidden_custom(const char *text, struct name *name)
{
	bool dot = false;
	const char *rest = after_part(text, &dot, name);

	while (rest && *rest == '.') {
		dot = true;
		add_to_name(name, ".", 1);
		rest = after_part(skip_blank(rest + 1), &dot, name);
	}
	return dot && rest && (*rest == '=' || after_word(rest, "to"));
}

/* Drivers quote what needs none. False where it is no plain name even so. */
static bool remember_hidden(const struct name *name)
{
	if (name->unreadable || custom_length(name->bytes) != name->length || name->length == 0)
		return false;
	custom_intern(name->bytes, name->length);
	return true;
}

/* The name in SET [SESSION | LOCAL] name; the text stands behind SET. */
static const char *name_to_set(const char *text)
{
	static const char *const scopes[] = {"session", "local", NULL};
	const char *scoped = after_any(text, scopes);

	/* session.user_id is a name like any other. */
	return scoped && *scoped != '.' ? scoped : text;
}

/*
 * SET [SESSION | LOCAL] a.b; the text stands behind SET.
 *   before  the byte in front of SET: a SET that begins a literal is a statement that is computed,
 *           EXECUTE 'SET ' || name or format('SET %I = %L', name, value)
 */
static unsigned scan_set(const char *text, char before)
{
	const char *name = name_to_set(text);
	size_t length = custom_length(name);
	struct name hidden = {0};

	if (length && length <= MOST_NAME && name[length] != '&' &&
	    *skip_blank(name + length) != '.')
		custom_intern(name, length);
	else if (sets_hidden_custom(name, &hidden) && !remember_hidden(&hidden))
		return STATEMENT_SETS | STATEMENT_SETS_UNKNOWN;
	if ((before == '\'' || before == '$') && is(name[-1], BLANK) && *name &&
	    strchr("%'$", *name))
		return STATEMENT_SETS | STATEMENT_SETS_UNKNOWN;
	return STATEMENT_SETS;
}

/* set_config('a.b', ...; the text stands behind set_config. */
static unsigned scan_set_config(const char *text)
{
	/* "set_config"( is the same. */
	if (*text == '"')
		text = skip_blank(text + 1);
	if (*text != '(')
		return 0;
	const char *name = skip_blank(text + 1);
	if (*name++ != '\'')
		return STATEMENT_SETS | STATEMENT_SETS_UNKNOWN;
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "0123456789_.$");
	if (name[length] != '\'' || *skip_blank(name + length + 1) != ',')
		return STATEMENT_SETS | STATEMENT_SETS_UNKNOWN;
	if (length && custom_length(name) == length)
		custom_intern(name, length);
	return STATEMENT_SETS;
}

/* SET seed = ..., as a statement: UPDATE t SET seed = ... is none. */
static bool sets_seed(const char *query, const char *word, const char *after)
{
	return word == skip_blank(query) && after_word(name_to_set(after), "seed");
}

/* The SET of UPDATE, and of what may have one inside, is of columns. */
static bool changes_rows(const char *query)
{
	static const char *const verbs[] = {"update", "insert", "merge", "with", NULL};

	return after_any(skip_blank(query), verbs);
}

/* Whether one of the words that scan_word knows may begin so; most do not. */
static inline bool may_matter(const char *word)
{
	switch (word[0]) {
	case 's':
	case 'S':
		return begins(word, "set");
	case 'p':
	case 'P':
		return begins(word, "pg_");
	case 'd':
	case 'D':
		return begins(word, "dblink") || begins(word, "discard");
	case 'l':
	case 'L':
		return begins(word, "listen") || begins(word, "load");
	case 'u':
	case 'U':
		return begins(word, "unlisten");
	default:
		return false;
	}
}

/*
 * pid <> pg_backend_pid(), with which a session ends or counts all others, tells the program nothing
 * of itself.
 */
static bool is_excluded(const char *query, const char *word)
{
	static const char schema[] = "pg_catalog.";
	size_t length = sizeof schema - 1;

	if (word >= query + length && strncasecmp(word - length, schema, length) == 0)
		word -= length;
	while (word > query && is(word[-1], BLANK))
		word--;
	return word >= query + 2 &&
	       (memcmp(word - 2, "<>", 2) == 0 || memcmp(word - 2, "!=", 2) == 0);
}

static unsigned scan_word(const char *query, const char *word)
{
	const char *after;

	if ((after = after_word(word, "set"))) {
		unsigned found = scan_set(after, word > query ? word[-1] : '\0');

		if (sets_seed(query, word, after))
			found |= STATEMENT_SEEDS;
		return changes_rows(query) && !strchr(query, ';')
			   ? found & ~(unsigned)STATEMENT_SETS
			   : found;
	}
	if ((after = after_word(word, "set_config")))
		return scan_set_config(after);
	if (after_word(word, "setseed"))
		return STATEMENT_SEEDS;
	if (after_word(word, "pg_backend_pid"))
		return is_excluded(query, word) ? 0 : STATEMENT_SHOWS_PID;
	if (after_word(word, "pg_terminate_backend"))
		return STATEMENT_ENDS_OTHERS;
	if (after_word(word, "dblink_connect") || after_word(word, "dblink_connect_u"))
		return STATEMENT_LINKS;
	if (after_word(word, "listen"))
		return STATEMENT_LISTENS;
	if ((after = after_word(word, "unlisten")))
		return *after == '*' ? STATEMENT_UNLISTENS_ALL : STATEMENT_UNLISTENS;
	if (after_word(word, "discard"))
		return STATEMENT_UNLISTENS_ALL;
	if ((after = after_word(word, "load")) && *after == '\'')
		return STATEMENT_LOADS;
	return 0;
}

unsigned statement_scan(const char *query)
{
	unsigned flags = changes_login(skip_blank(query)) ? STATEMENT_CHANGES_LOGIN : 0;

	for (const char *byte = query; *byte;) {
		if (may_matter(byte))
			flags |= scan_word(query, byte);
		bool inside = is(*byte++, INSIDE);
		while (inside && is(*byte, INSIDE))
			byte++;
	}
	return flags;
}

/*
 * Whether it may take PQLEASH_STATEMENT_TIMEOUT off: RESET, DISCARD ALL, SET ... TO DEFAULT. A false
 * find costs a round trip.
 */
static bool may_unguard(const char *query)
{
	return strcasestr(query, "reset") || strcasestr(query, "discard") ||
	       (strcasestr(query, "statement_timeout") && strcasestr(query, "default"));
}

/*
 * In a transaction, or in another thread before the statement had ended, a connection may have been
 * opened that sees things as they were: none of that time is to be shared.
 */
static void follow_login_change(struct session *session)
{
	session->changed_login =
	    session->conn && REAL(PQtransactionStatus)(session->conn) != PQTRANS_IDLE;
	pool_login_changed();
}

static bool made_setter;

bool statement_made_setter(void)
{
	return __atomic_load_n(&made_setter, __ATOMIC_RELAXED);
}

/* What is prepared or put into a function is executed later, at any time. */
static void note_set(struct session *session, const char *query, bool prepares)
{
	const char *first = skip_blank(query);

	session->sets = true;
	session->may_set |= prepares || after_word(first, "prepare");
	if (after_word(first, "create"))
		__atomic_store_n(&made_setter, true, __ATOMIC_RELAXED);
}

void statement_sent(struct session *session, const char *query, bool prepares)
{
	unsigned flags = query ? statement_scan(query) : 0;

	if (query && settings()->statement_timeout_ms > 0 && session->backend &&
	    !session->target->pgbouncer && !session->target->replication && may_unguard(query))
		session_unguard(session);
	if (session->changed_login)
		follow_login_change(session);
	if (!flags)
		return;
	if (flags & STATEMENT_SETS)
		note_set(session, query, prepares);
	if (flags & STATEMENT_UNLISTENS_ALL)
		session->channels = 0;
	if (flags & STATEMENT_UNLISTENS && session->channels > 0)
		session->channels--;
	if (flags & STATEMENT_LISTENS)
		session->channels++;
	if (flags & STATEMENT_CHANGES_LOGIN) {
		session->changed_login = true;
		pool_login_changed();
	}
	/* The program counts those it ends, and knows of none that it has finished. */
	if (flags & STATEMENT_ENDS_OTHERS)
		pool_close_idle();
	if (flags & STATEMENT_SHOWS_PID)
		session_pin(session, "has told the program its backend's pid");
	else if (flags & STATEMENT_SEEDS)
		session_pin(session, "has called setseed");
	else if (flags & STATEMENT_SETS_UNKNOWN)
		session_pin(session, "has set a setting whose name is not in the text");
	else if (flags & STATEMENT_LINKS)
		session_pin(session, "has opened a connection with dblink");
	else if (flags & STATEMENT_LOADS)
		session_pin(session, "has loaded a library");
	/* DISCARD ALL does not undo these: no other session may have the backend afterwards. */
	if (session->backend && (flags & (STATEMENT_SEEDS | STATEMENT_SETS_UNKNOWN |
					     STATEMENT_LINKS | STATEMENT_LOADS)))
		session->backend->never_reset = true;
}
