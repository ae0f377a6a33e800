/*
 * Which connections may share a backend: targets from every way to ask for one, and what is in
 * them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "libpq.h"
#include "target.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

extern char **environ;

/* ---- Help ---- */

static char folder[40]; /* HOME, and where files of a test are */

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

/* The age tells two versions of a file apart, as the clock would; in seconds. */
static void write_file(const char *name, const char *text, int age)
{
	struct timespec times[2] = {{.tv_sec = 1000000000 - age}, {.tv_sec = 1000000000 - age}};
	FILE *file = fopen(path_of(name), "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path_of(name), 0600), 0);
	assert_int_equal(utimensat(AT_FDCWD, path_of(name), times, 0), 0);
}

/* No PG* variable, and an empty HOME. */
static int begin(void **state)
{
	static const char *const files[] = {
	    ".pgpass", ".pg_service.conf", "pg_service.conf", "passwords"};
	char name[64];

	(void)state;
	for (char **variable = environ; *variable;)
		if (strncmp(*variable, "PG", 2) == 0 || strncmp(*variable, "KRB5CCNAME", 10) == 0) {
			snprintf(
			    name, sizeof name, "%.*s", (int)strcspn(*variable, "="), *variable);
			unsetenv(name);
		} else
			variable++;
	for (size_t i = 0; i < COUNT(files); i++)
		unlink(path_of(files[i]));
	return setenv("HOME", folder, 1);
}

static struct target *find(const char *conninfo)
{
	struct request request = {.conninfo = conninfo};
	bool starved;

	return target_find(&request, &starved);
}

static struct target *find_arrays(
    int expand, const char *const *keywords, const char *const *values)
{
	struct request request = {.keywords = keywords, .values = values, .expand_dbname = expand};
	bool starved;

	return target_find(&request, &starved);
}

#define KEYWORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void assert_same(struct target *one, struct target *other)
{
	assert_non_null(one);
	assert_non_null(other);
	if (one != other)
		fail_msg("not the same:\n%s\n%s", one->key, other->key);
	target_release(one);
	target_release(other);
}

static void assert_different(struct target *one, struct target *other)
{
	assert_non_null(one);
	assert_non_null(other);
	if (one == other)
		fail_msg("the same: %s", one->key);
	target_release(one);
	target_release(other);
}

/* An option's value in the connection string for libpq; NULL for none. Frees the target. */
static const char *told(struct target *target, const char *keyword)
{
	static char value[256];
	bool found = false;

	assert_non_null(target);
	char *error = NULL;
	PQconninfoOption *options = libpq_real.PQconninfoParse(target_conninfo(target), &error);
	if (!options)
		fail_msg("%s: %s", target_conninfo(target), error);
	for (PQconninfoOption *option = options; option->keyword; option++)
		if (strcmp(option->keyword, keyword) == 0 && option->val) {
			snprintf(value, sizeof value, "%s", option->val);
			found = true;
		}
	libpq_real.PQconninfoFree(options);
	target_release(target);
	return found ? value : NULL;
}

#define assert_told(target, keyword, expected) assert_string_equal(told(target, keyword), expected)

/* ---- Spellings of one target ---- */

static void a_string_and_a_uri_may_mean_the_same(void **state)
{
	(void)state;
	assert_same(find("host=h port=7 dbname=d user=u"), find("postgresql://u@h:7/d"));
	assert_same(
	    find("user=u host=h dbname=d port=7"), find("host = h\tport='7'   dbname='d' user=u"));
	assert_same(find("host=h password='p w' application_name='a&b'"),
	    find("postgres://:p%20w@h?application_name=a%26b"));
	assert_same(find("host=/tmp"), find("postgresql://%2Ftmp"));
	assert_same(find("host=one,two port=1,2"), find("postgresql://one:1,two:2"));
	assert_same(find(""), find("postgresql://"));
}

static void arrays_may_mean_the_same(void **state)
{
	const char *const *keywords = KEYWORDS("host", "port", "dbname", "user");

	(void)state;
	assert_same(find("host=h port=7 dbname=d user=u"),
	    find_arrays(0, keywords, KEYWORDS("h", "7", "d", "u")));
	assert_same(find("host=h port=7 dbname=d user=u"),
	    find_arrays(1, keywords, KEYWORDS("h", "7", "d", "u")));
	assert_same(find("host=h port=7 dbname=d user=u"),
	    find_arrays(1, KEYWORDS("dbname"), KEYWORDS("postgresql://u@h:7/d")));
	assert_same(find("host=h port=7 dbname=d user=u"),
	    find_arrays(1, KEYWORDS("dbname", "user"), KEYWORDS("host=h port=7 dbname=d", "u")));
	assert_same(
	    find(""), find_arrays(0, (const char *const[]){NULL}, (const char *const[]){NULL}));
}

static struct target *find_login(const char *host, const char *port, const char *options,
    const char *dbname, const char *user, const char *password)
{
	struct request request = {.login = true,
	    .host = host,
	    .port = port,
	    .options = options,
	    .dbname = dbname,
	    .user = user,
	    .password = password};
	bool starved;

	return target_find(&request, &starved);
}

static void a_login_may_mean_the_same(void **state)
{
	(void)state;
	assert_same(find("host=h port=7 dbname=d user=u password=p options='-c geqo=off'"),
	    find_login("h", "7", "-c geqo=off", "d", "u", "p"));
	assert_same(find("host=h port=7 dbname=d user=u"),
	    find_login("h", "7", NULL, "dbname=d user=u", NULL, NULL));
	assert_same(find("host=h port=7 dbname=d user=u"),
	    find_login(NULL, NULL, NULL, "postgresql://u@h:7/d", NULL, NULL));
	assert_same(find(""), find_login(NULL, NULL, NULL, NULL, NULL, NULL));
	assert_same(find(""), find_login("", "", "", "", "", ""));
}

/* libpq manual: what PQsetdbLogin is given ranks above what its dbName says. */
static void the_other_arguments_of_a_login_rank_above_its_dbname(void **state)
{
	(void)state;
	assert_same(find("host=h user=u dbname=d"),
	    find_login("h", NULL, NULL, "host=x user=y dbname=d", "u", NULL));
}

static void the_environment_counts_as_if_it_were_asked_for(void **state)
{
	(void)state;
	struct target *asked =
	    find("host=h port=7 dbname=d user=u password=p application_name=a sslmode=disable");

	setenv("PGHOST", "h", 1);
	setenv("PGPORT", "7", 1);
	setenv("PGDATABASE", "d", 1);
	setenv("PGUSER", "u", 1);
	setenv("PGPASSWORD", "p", 1);
	setenv("PGAPPNAME", "a", 1);
	setenv("PGSSLMODE", "disable", 1);
	assert_same(asked, find(""));
}

static void the_environment_ranks_below_what_is_asked_for(void **state)
{
	(void)state;
	struct target *asked = find("host=h dbname=d");

	setenv("PGHOST", "x", 1);
	setenv("PGDATABASE", "y", 1);
	assert_same(asked, find("host=h dbname=d"));
}

static void defaults_count_as_if_they_were_asked_for(void **state)
{
	(void)state;
	assert_same(find("host=h"), find("host=h port=5432 sslmode=prefer options=''"));
	assert_same(find("user=u"), find("user=u dbname=u"));
	setenv("PGUSER", "u", 1);
	assert_same(find(""), find("dbname=u"));
}

static void the_later_of_two_equal_keywords_wins(void **state)
{
	(void)state;
	assert_same(find("host=x host=h"), find("host=h"));
	assert_same(find("postgresql://h/x?dbname=d"), find("host=h dbname=d"));
	assert_same(find_arrays(0, KEYWORDS("host", "host"), KEYWORDS("x", "h")), find("host=h"));
	assert_same(
	    find_arrays(1, KEYWORDS("host", "dbname"), KEYWORDS("x", "host=h")), find("host=h"));
	assert_same(
	    find_arrays(1, KEYWORDS("dbname", "host"), KEYWORDS("host=x", "h")), find("host=h"));
}

/* ---- Arrays ---- */

static void empty_values_of_arrays_count_as_absent(void **state)
{
	(void)state;
	assert_same(
	    find_arrays(0, KEYWORDS("host", "port", "user"), (const char *const[]){"h", "", NULL}),
	    find("host=h"));
	assert_same(find_arrays(0, KEYWORDS("host", "host"), KEYWORDS("h", "")), find("host=h"));
	assert_same(
	    find_arrays(0, KEYWORDS("host", "nonsense"), KEYWORDS("h", "")), find("host=h"));
}

static void a_dbname_is_expanded_only_where_that_is_asked_for(void **state)
{
	(void)state;
	assert_told(find_arrays(0, KEYWORDS("dbname"), KEYWORDS("host=x dbname=d")), "dbname",
	    "host=x dbname=d");
	assert_told(find_arrays(1, KEYWORDS("dbname"), KEYWORDS("host=x dbname=d")), "dbname", "d");
	assert_told(find_arrays(0, KEYWORDS("dbname"), KEYWORDS("postgres://x/d")), "dbname",
	    "postgres://x/d");
}

static void only_the_first_dbname_is_expanded(void **state)
{
	(void)state;
	assert_told(find_arrays(1, KEYWORDS("dbname", "dbname"), KEYWORDS("d", "host=x")), "dbname",
	    "host=x");
	assert_told(find_arrays(1, KEYWORDS("dbname", "dbname"), KEYWORDS("", "host=x")), "dbname",
	    "host=x");
	assert_told(
	    find_arrays(1, KEYWORDS("dbname", "dbname"), KEYWORDS("host=x dbname=d", "host=y")),
	    "dbname", "host=y");
	assert_told(find_arrays(1, KEYWORDS("dbname", "dbname"),
			(const char *const[]){NULL, "host=x dbname=d"}),
	    "dbname", "d");
}

/* ---- What libpq would refuse ---- */

static void what_libpq_would_refuse_has_no_target(void **state)
{
	static const char *const refused[] = {"nonsense", "nonsense=1", "host", "host='h",
	    "host=h port", "postgresql://[::1/d", "postgresql://h/d?nonsense=1",
	    "postgresql://h/d?sslmode", "postgresql://h/%zz", "postgresql://h/d?a=b=c"};

	(void)state;
	for (size_t i = 0; i < COUNT(refused); i++)
		if (find(refused[i]))
			fail_msg("a target for %s", refused[i]);
	assert_null(find_arrays(0, KEYWORDS("nonsense"), KEYWORDS("1")));
	assert_null(find_arrays(1, KEYWORDS("dbname"), KEYWORDS("nonsense=1")));
	assert_null(
	    find_arrays(1, KEYWORDS("host", "dbname"), KEYWORDS("h", "postgresql://h?nonsense=1")));
	assert_null(find_login(NULL, NULL, NULL, "nonsense=1", NULL, NULL));
}

static void arrays_that_are_null_have_no_target(void **state)
{
	(void)state;
	assert_null(find_arrays(0, NULL, KEYWORDS("h")));
	assert_null(find_arrays(0, KEYWORDS("host"), NULL));
	assert_null(find_arrays(1, NULL, NULL));
}

/* Only a connect tells: PQconndefaults keeps quiet. */
static void a_service_that_does_not_exist_is_left_to_libpq(void **state)
{
	(void)state;
	assert_told(find("service=missing"), "service", "missing");
	setenv("PGSERVICE", "missing", 1);
	assert_same(find("host=h"), find("host=h"));
}

/* ---- What makes a difference ---- */

/* Calls the function for every option that this libpq has. */
static void for_every_option(void (*check)(const PQconninfoOption *option))
{
	PQconninfoOption *options = PQconndefaults();

	assert_non_null(options);
	for (PQconninfoOption *option = options; option->keyword; option++)
		check(option);
	PQconninfoFree(options);
}

static void check_asked_for(const PQconninfoOption *option)
{
	struct target *without = find("host=h user=u");
	struct target *with = find_arrays(
	    1, KEYWORDS("dbname", option->keyword), KEYWORDS("host=h user=u", "another"));

	if (target_shares(with, without))
		fail_msg("%s makes no difference", option->keyword);
	assert_different(without, with);
}

static void every_option_makes_a_difference(void **state)
{
	(void)state;
	for_every_option(check_asked_for);
}

static void check_environment(const PQconninfoOption *option)
{
	/* A service in the environment has a file: see below. */
	if (!option->envvar || strcmp(option->keyword, "service") == 0)
		return;
	struct target *without = find("");
	setenv(option->envvar, "another", 1);
	struct target *with = find("");
	unsetenv(option->envvar);
	if (target_shares(with, without))
		fail_msg("%s makes no difference", option->envvar);
	assert_different(without, with);
}

static void every_variable_of_an_option_makes_a_difference(void **state)
{
	(void)state;
	for_every_option(check_environment);
}

static void variables_behind_the_options_make_a_difference(void **state)
{
	static const char *const variables[] = {"PGTZ", "PGDATESTYLE", "PGGEQO", "PGOPTIONS",
	    "PGCLIENTENCODING", "PGREQUIRESSL", "PGSYSCONFDIR", "PGSERVICEFILE", "KRB5CCNAME",
	    "HOME"};

	(void)state;
	for (size_t i = 0; i < COUNT(variables); i++) {
		struct target *without = find("host=h");
		setenv(variables[i], "1", 1);
		struct target *with = find("host=h");
		begin(NULL);
		if (target_shares(with, without))
			fail_msg("%s makes no difference", variables[i]);
		assert_different(without, with);
	}
}

static void assert_sharing(struct target *one, struct target *other, bool expected)
{
	assert_non_null(one);
	assert_non_null(other);
	assert_ptr_not_equal(one, other);
	assert_int_equal(target_shares(one, other), expected);
	target_release(one);
	target_release(other);
}

static void how_long_a_connect_may_take_is_no_reason_not_to_share(void **state)
{
	(void)state;
	struct target *plain = find("host=h");

	assert_true(target_shares(plain, plain));
	assert_sharing(
	    find("host=h connect_timeout=3"), find("host=h connect_timeout=' -4 '"), true);
	assert_sharing(find("host=h connect_timeout=3"), find("host=x connect_timeout=4"), false);
	setenv("PGCONNECT_TIMEOUT", "2", 1);
	assert_sharing(plain, find("host=h"), true);
}

static void a_timeout_that_libpq_refuses_is_not_shared(void **state)
{
	static const char *const refused[] = {"''", "x", "3x", "' '", "99999999999"};

	(void)state;
	for (size_t i = 0; i < COUNT(refused); i++) {
		char conninfo[64];

		snprintf(conninfo, sizeof conninfo, "host=h connect_timeout=%s", refused[i]);
		assert_sharing(find("host=h"), find(conninfo), false);
	}
}

static void a_value_may_not_look_like_another_option(void **state)
{
	(void)state;
	assert_different(find("application_name='a\nfallback_application_name=b'"),
	    find("application_name=a fallback_application_name=b"));
	assert_different(find("host='h port=7'"), find("host=h port=7"));
}

static void an_empty_value_that_is_asked_for_is_not_the_environments(void **state)
{
	(void)state;
	setenv("PGHOST", "h", 1);
	setenv("PGAPPNAME", "a", 1);
	assert_different(find(""), find("host=''"));
	assert_told(find("host=''"), "host", "");
	assert_told(find("application_name=''"), "application_name", "");
}

static void pgbouncer_makes_a_difference(void **state)
{
	(void)state;
	assert_different(find("postgresql://h/d"), find("postgresql://h/d?pgbouncer=true"));
	assert_same(find("postgresql://h/d"),
	    find("postgresql://h/d?pgbouncer=false&pool_timeout=1&connection_limit=9999"));
	struct target *target = find("postgresql://h/d?pgbouncer=true");
	assert_true(target->pgbouncer);
	target_release(target);
}

/* ---- Files ---- */

static void an_edit_of_the_password_file_makes_another_target(void **state)
{
	(void)state;
	struct target *without = find("host=h");
	write_file(".pgpass", "*:*:*:*:one\n", 9);
	struct target *one = find("host=h");
	write_file(".pgpass", "*:*:*:*:two\n", 8);
	struct target *two = find("host=h");
	assert_same(two, find("host=h"));
	assert_ptr_not_equal(one, two);
	assert_different(without, one);
}

static void an_edit_of_a_password_file_that_is_named_makes_another_target(void **state)
{
	char conninfo[256];

	(void)state;
	snprintf(conninfo, sizeof conninfo, "host=h passfile=%s", path_of("passwords"));
	write_file("passwords", "*:*:*:*:one\n", 9);
	struct target *one = find(conninfo);
	write_file("passwords", "*:*:*:*:two\n", 8);
	assert_different(one, find(conninfo));

	setenv("PGPASSFILE", path_of("passwords"), 1);
	one = find("host=h");
	write_file("passwords", "*:*:*:*:longer\n", 8);
	assert_different(one, find("host=h"));
}

static void the_password_file_does_not_matter_where_a_password_is_given(void **state)
{
	(void)state;
	struct target *one = find("host=h password=p");

	write_file(".pgpass", "*:*:*:*:one\n", 9);
	assert_same(one, find("host=h password=p"));
}

static void an_edit_of_the_service_file_makes_another_target(void **state)
{
	static const char *const places[][2] = {{"HOME", ".pg_service.conf"},
	    {"PGSYSCONFDIR", "pg_service.conf"}, {"PGSERVICEFILE", "passwords"}};

	(void)state;
	for (size_t i = 0; i < COUNT(places); i++) {
		setenv(places[i][0], i < 2 ? folder : path_of(places[i][1]), 1);
		struct target *without = find("service=s");
		write_file(places[i][1], "[s]\nport=1\n", 9);
		struct target *one = find("service=s");
		write_file(places[i][1], "[s]\nport=2\n", 8);
		assert_ptr_not_equal(without, one);
		target_release(without);
		assert_different(one, find("service=s"));
		begin(NULL);
	}
}

static void a_service_of_the_environment_counts_with_its_values(void **state)
{
	(void)state;
	setenv("PGSERVICE", "s", 1);
	write_file(".pg_service.conf", "[s]\nport=7\n[t]\nport=7\n", 9);
	struct target *seven = find("host=h");
	write_file(".pg_service.conf", "[s]\nport=8\n[t]\nport=7\n", 9);
	assert_different(seven, find("host=h"));
}

/* ---- The connection string for libpq ---- */

static void any_value_survives_quoting(void **state)
{
	static const char *const values[] = {"'", "\\", "''", "\\'", "a b", " ", "a=b", "it's",
	    "C:\\", "\\\\'\\", "\n\t", "\xc3\xa9", "' host='x", "x' password='y", "%",
	    "postgresql://", "\"", "\x01\x7f\xff"};

	(void)state;
	for (size_t i = 0; i < COUNT(values); i++) {
		assert_told(find_arrays(0, KEYWORDS("password"), KEYWORDS(values[i])), "password",
		    values[i]);
		assert_told(
		    find_arrays(0, KEYWORDS("application_name", "user"), KEYWORDS(values[i], "u")),
		    "user", "u");
		assert_told(
		    find_arrays(0, KEYWORDS("dbname"), KEYWORDS(values[i])), "dbname", values[i]);
	}
}

/* The same once libpq has tried to connect, and the environment has changed since. */
static const char *told_again(const char *conninfo, const char *variable, const char *keyword)
{
	struct target *target = find(conninfo);
	PGconn *conn = libpq_real.PQconnectStart(target_conninfo(target));

	target_resolve(target, conn);
	libpq_real.PQfinish(conn);
	setenv(variable, "another", 1);
	const char *value = told(target, keyword);
	unsetenv(variable);
	return value;
}

static void what_the_environment_said_is_kept(void **state)
{
	static const char *const variables[][3] = {{"PGDATABASE", "dbname", "d"},
	    {"PGUSER", "user", "u"}, {"PGPASSWORD", "password", "p"},
	    {"PGOPTIONS", "options", "-c geqo=off"}, {"PGPORT", "port", "7"},
	    {"PGSSLMODE", "sslmode", "disable"}, {"PGAPPNAME", "application_name", "a"}};

	(void)state;
	for (size_t i = 0; i < COUNT(variables); i++) {
		setenv(variables[i][0], variables[i][2], 1);
		assert_string_equal(
		    told_again("host=/nonexistent", variables[i][0], variables[i][1]),
		    variables[i][2]);
	}
}

static void what_the_environment_did_not_say_is_not_found_there_later(void **state)
{
	(void)state;
	assert_string_equal(told_again("host=/nonexistent user=u", "PGDATABASE", "dbname"), "u");
	assert_string_equal(told_again("host=/nonexistent user=u", "PGPORT", "port"), "5432");
	assert_string_equal(told_again("host=/nonexistent user=u", "PGOPTIONS", "options"), "");
}

static void what_is_asked_for_is_kept(void **state)
{
	(void)state;
	assert_string_equal(
	    told_again("host=/nonexistent password='it\\'s \\\\'", "X", "password"), "it's \\");
	assert_string_equal(
	    told_again("host=/nonexistent connect_timeout=3", "X", "connect_timeout"), "3");
	assert_string_equal(
	    told_again("host=/nonexistent connect_timeout=99", "X", "connect_timeout"), "7");
}

/* The file of a service ranks below what is asked for, and above the environment. */
static void what_a_service_said_is_kept(void **state)
{
	(void)state;
	write_file(".pg_service.conf", "[s]\nhost=/nonexistent\nport=7\nuser=u\n", 9);
	setenv("PGPORT", "8", 1);
	assert_null(told(find("service=s user=x"), "port"));
	assert_string_equal(told_again("service=s user=x", "HOME", "port"), "7");
	setenv("HOME", folder, 1);
	assert_string_equal(told_again("service=s user=x", "HOME", "user"), "x");
	setenv("HOME", folder, 1);
	assert_null(told_again("service=s", "HOME", "service"));
}

static void a_service_that_is_not_found_is_looked_for_again(void **state)
{
	(void)state;
	assert_string_equal(told_again("service=s", "X", "service"), "s");
}

static void our_connect_timeout_holds_unless_the_programs_is_shorter(void **state)
{
	/* main says PQLEASH_CONNECT_TIMEOUT=7 */
	static const char *const timeouts[][2] = {{"", "7"}, {"connect_timeout=3", "3"},
	    {"connect_timeout=7", "7"}, {"connect_timeout=100", "7"},
	    {"connect_timeout=2147483647", "7"}, {"connect_timeout=0", "7"},
	    {"connect_timeout=-1", "7"}, {"connect_timeout=' 3 '", "3"},
	    {"connect_timeout=' 100\t'", "7"}, {"connect_timeout=1", "1"}};

	(void)state;
	for (size_t i = 0; i < COUNT(timeouts); i++)
		assert_told(find(timeouts[i][0]), "connect_timeout", timeouts[i][1]);
	setenv("PGCONNECT_TIMEOUT", "4", 1);
	assert_told(find(""), "connect_timeout", "4");
	assert_told(find("connect_timeout=5"), "connect_timeout", "5");
}

static void a_timeout_that_libpq_refuses_is_left_to_it(void **state)
{
	static const char *const values[] = {
	    "x", "3x", "3'4", "5\\", "99999999999", "-99999999999", "3.5", "1e3", " "};

	(void)state;
	for (size_t i = 0; i < COUNT(values); i++)
		assert_told(find_arrays(0, KEYWORDS("connect_timeout"), KEYWORDS(values[i])),
		    "connect_timeout", values[i]);
	assert_told(find("connect_timeout=''"), "connect_timeout", "");
}

static void the_program_may_be_shown_the_timeout_it_asked_for(void **state)
{
	(void)state;
	struct target *asked = find("host=asked connect_timeout=100"), *not_asked = find("host=h");

	assert_string_equal(asked->connect_timeout, "100");
	assert_null(not_asked->connect_timeout);
	target_release(asked);
	target_release(not_asked);
}

/* ---- The rest ---- */

static void the_label_names_user_host_port_and_database(void **state)
{
	(void)state;
	struct target *target = find("postgresql://u:secret@h:7/d");

	assert_string_equal(target->label, "u@h:7/d");
	target_release(target);
	target = find("user=u host=/tmp");
	assert_string_equal(target->label, "u@/tmp:5432/u");
	target_release(target);
}

static void the_label_never_contains_the_password(void **state)
{
	struct target *const targets[] = {
	    find("postgresql://u:secret@h/d"),
	    find("postgresql://h/d?password=secret"),
	    find("host=h password=secret"),
	    find("host=h dbname='password=secret'"),
	    find_arrays(0, KEYWORDS("dbname"), KEYWORDS("postgresql://u:secret@h/d")),
	    find_arrays(0, KEYWORDS("dbname"), KEYWORDS("postgres://u:secret@h/d")),
	    find_arrays(1, KEYWORDS("dbname", "dbname"), KEYWORDS("d", "user=u password=secret")),
	    find_arrays(0, KEYWORDS("host"), KEYWORDS("postgres://u:secret@h/d")),
	    find_login(NULL, NULL, NULL, NULL, NULL, "secret"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(targets); i++) {
		assert_non_null(targets[i]);
		if (strstr(targets[i]->label, "secret"))
			fail_msg("a label: %s", targets[i]->label);
		target_release(targets[i]);
	}
}

static void replication_is_known_as_libpq_and_the_server_spell_it(void **state)
{
	static const char *const yes[] = {"database", "true", "on", "yes", "1"}, *const no[] = {"",
										     "false", "off",
										     "no", "0"};
	char conninfo[64];

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		snprintf(conninfo, sizeof conninfo, "replication='%s'", yes[i]);
		struct target *target = find(conninfo);
		assert_true(target->replication);
		target_release(target);
		snprintf(conninfo, sizeof conninfo, "replication='%s'", no[i]);
		target = find(conninfo);
		assert_false(target->replication);
		target_release(target);
	}
}

static void a_target_lives_until_its_last_reference_is_released(void **state)
{
	(void)state;
	struct target *target = find("host=references");

	target->known_good = true;
	assert_ptr_equal(target_hold(target), target);
	target_release(target);
	struct target *again = find("host=references");
	assert_ptr_equal(again, target);
	assert_true(again->known_good);
	target_release(again);
	target_release(target);
	again = find("host=references");
	assert_false(again->known_good);
	target_release(again);
	target_release(NULL);
}

static void one_server_has_one_identity(void **state)
{
	(void)state;
	PGconn *conn = libpq_real.PQconnectStart(
	    "host=/nonexistent port=7 user=u dbname=d password=p options='-c geqo=off'");
	struct target *target = find("host=/nonexistent");
	const struct identity *identity = target_identify(target, conn);

	assert_string_equal(identity->db, "d");
	assert_string_equal(identity->user, "u");
	assert_string_equal(identity->pass, "p");
	assert_string_equal(identity->host, "/nonexistent");
	assert_string_equal(identity->port, "7");
	assert_string_equal(identity->options, "-c geqo=off");
	assert_ptr_equal(target_identify(target, conn), identity);
	libpq_real.PQfinish(conn);
	target_release(target);
}

static void stripping_keeps_what_is_libpqs(void **state)
{
	(void)state;
	char *stripped = target_strip(
	    "postgresql://h/d?connection_limit=9999&sslmode=disable&pool_timeout=9999");

	assert_string_equal(stripped, "postgresql://h/d?sslmode=disable");
	free(stripped);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup(function, begin)
	const struct CMUnitTest tests[] = {
	    TEST(a_string_and_a_uri_may_mean_the_same),
	    TEST(arrays_may_mean_the_same),
	    TEST(a_login_may_mean_the_same),
	    TEST(the_other_arguments_of_a_login_rank_above_its_dbname),
	    TEST(the_environment_counts_as_if_it_were_asked_for),
	    TEST(the_environment_ranks_below_what_is_asked_for),
	    TEST(defaults_count_as_if_they_were_asked_for),
	    TEST(the_later_of_two_equal_keywords_wins),
	    TEST(empty_values_of_arrays_count_as_absent),
	    TEST(a_dbname_is_expanded_only_where_that_is_asked_for),
	    TEST(only_the_first_dbname_is_expanded),
	    TEST(what_libpq_would_refuse_has_no_target),
	    TEST(arrays_that_are_null_have_no_target),
	    TEST(a_service_that_does_not_exist_is_left_to_libpq),
	    TEST(every_option_makes_a_difference),
	    TEST(every_variable_of_an_option_makes_a_difference),
	    TEST(variables_behind_the_options_make_a_difference),
	    TEST(how_long_a_connect_may_take_is_no_reason_not_to_share),
	    TEST(a_timeout_that_libpq_refuses_is_not_shared),
	    TEST(a_value_may_not_look_like_another_option),
	    TEST(an_empty_value_that_is_asked_for_is_not_the_environments),
	    TEST(pgbouncer_makes_a_difference),
	    TEST(an_edit_of_the_password_file_makes_another_target),
	    TEST(an_edit_of_a_password_file_that_is_named_makes_another_target),
	    TEST(the_password_file_does_not_matter_where_a_password_is_given),
	    TEST(an_edit_of_the_service_file_makes_another_target),
	    TEST(a_service_of_the_environment_counts_with_its_values),
	    TEST(any_value_survives_quoting),
	    TEST(what_the_environment_said_is_kept),
	    TEST(what_the_environment_did_not_say_is_not_found_there_later),
	    TEST(what_is_asked_for_is_kept),
	    TEST(what_a_service_said_is_kept),
	    TEST(a_service_that_is_not_found_is_looked_for_again),
	    TEST(our_connect_timeout_holds_unless_the_programs_is_shorter),
	    TEST(a_timeout_that_libpq_refuses_is_left_to_it),
	    TEST(the_program_may_be_shown_the_timeout_it_asked_for),
	    TEST(the_label_names_user_host_port_and_database),
	    TEST(the_label_never_contains_the_password),
	    TEST(replication_is_known_as_libpq_and_the_server_spell_it),
	    TEST(a_target_lives_until_its_last_reference_is_released),
	    TEST(one_server_has_one_identity),
	    TEST(stripping_keeps_what_is_libpqs),
	};

	setenv("PQLEASH", "1", 1);
	setenv("PQLEASH_CONNECT_TIMEOUT", "7", 1);
	unsetenv("PQLEASH_DATABASE_URL");
	unsetenv("PQLEASH_PGBOUNCER");
	snprintf(folder, sizeof folder, "/tmp/target_test.%d", (int)getpid());
	if (mkdir(folder, 0700) != 0)
		return 1;
	int failures = cmocka_run_group_tests(tests, NULL, NULL);
	begin(NULL);
	rmdir(folder);
	return failures;
}
