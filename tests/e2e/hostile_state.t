# Whatever a session does to itself, it can be moved and is then the same, and nobody else is any different. Each
# script is played with a connection of its own for every session, and with one connection for all of them, where
# every step is followed by one of another session: so the session is moved twice per step.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Steps;
use Test::More;

in_cluster();

# What the other session sees of itself. It never sets anything, so this never changes.
my $look = q{exec other SELECT session_user, current_user, current_setting('app.v', true), current_setting('app.w', true),
	(SELECT string_agg(name || '=' || setting, ', ') FROM pg_settings WHERE source = 'session'),
	(SELECT count(*) FROM pg_prepared_statements)} =~ s/\s+/ /gr;

# A script: each command is followed by a move, unless it begins with "+".
sub with_moves { return map { my $command = $_; $command =~ s/^\+// ? $command : ($command, $look) } @_ }

# Options: before and after, SQL run outside; errors, how many statements of the script fail; other and limit,
# for scripts that need more than two sessions.
sub is_unseen
{
	my ($name, $options, @script) = @_;
	my $limit = $options->{limit} // 1;
	my $open = ($options->{how} // 'open') . ' a ' . ($options->{login} // '');

	subtest $name => sub {
		my @commands = ('open other ', with_moves($open, @script));
		my ($direct, $leashed) = map {
			psql_value($_) for @{ $options->{before} // [] };
			my $result = $_->({ PQLEASH_LIMIT => $limit, TIMEOUT => 60 }, @commands);
			psql_value($_) for @{ $options->{after} // [] };
			$result;
		} sub { shift; play_direct(@_) }, \&play_leashed;
		is($direct->{counts}, 'none', 'the direct run is direct');
		like($leashed->{counts}, qr/^opened \d+, open \d+, backends $limit, peak $limit$/, 'the other one is inside pqleash');
		is(errors_in($direct), $options->{errors} // 0, 'as many statements fail as should');
		is(first_difference($direct, $leashed), '', 'no step answers differently');
		unlike($leashed->{err}, qr/forgotten|[^0] lost/, 'nothing was lost');
	};
	return;
}

sub sql { return 'exec a ' . quoted($_[0]) }

# ---- Settings ----

is_unseen('settings of every type', {}, map { sql($_) }
	"SET work_mem = '7MB'", "SET enable_seqscan = off", "SET random_page_cost = 1.25", "SET bytea_output = escape",
	"SET IntervalStyle = iso_8601", "SET DateStyle = 'German, DMY'", "SET extra_float_digits = -3",
	"SET temp_buffers = 200", "SET log_min_duration_statement = '3s'", "SET lc_monetary = 'C'",
	"SET default_text_search_config = 'pg_catalog.german'", "SET TIME ZONE INTERVAL '+05:30' HOUR TO MINUTE",
	"SELECT now() - now(), interval '1 day 2 hours', date '2024-02-01', 1::float8 / 3, '\\x00ff'::bytea",
	"SELECT name, setting, source FROM pg_settings WHERE source = 'session' ORDER BY name",
	"SET TIME ZONE -7", "SHOW TIME ZONE", "SET TimeZone = DEFAULT", "SHOW TIME ZONE",
	"SELECT name, setting, source FROM pg_settings WHERE source = 'session' ORDER BY name");

is_unseen('a search path of names that need quotes',
	{ before => [ q(CREATE SCHEMA "a, ""b"" 'c' \d"), q(CREATE TABLE "a, ""b"" 'c' \d".t AS SELECT 1 AS found) ],
	  after => [ q(DROP SCHEMA "a, ""b"" 'c' \d" CASCADE) ] },
	sql(q(SET search_path = "$user", "a, ""b"" 'c' \d", public, "no such ""schema""")),
	sql('SELECT found FROM t'), sql('SHOW search_path'), sql('SELECT current_schemas(false)'),
	sql(q(SET search_path = '')), sql('SHOW search_path'), sql('SET search_path = DEFAULT'), sql('SHOW search_path'));

my $nasty = q(it's "quoted" \ back\\\\slashed $$ $1 $body$ %s %n %% {a,b} ;--/* ) . "\n\ttab \r return";

is_unseen('values full of quotes, backslashes, newlines and dollars', {},
	'params a ' . quoted($nasty, 1) =~ s/,/\\x2c/gr . q( SELECT set_config('app.v', $1, false)),
	sql(q(SELECT set_config('app.w', $a$it's "so" \ %s $b$ $b$ $a$, false))),
	sql(q(SELECT current_setting('app.v'), current_setting('app.w'))),
	sql(q(SET application_name = 'it''s "so" \ %s {}')), 'parameter a application_name', sql('SHOW application_name'));

is_unseen('very long values', {},
	sql("SET app.v = '" . 'long ' x 50_000 . q(')), sql(q(SELECT md5(current_setting('app.v')), length(current_setting('app.v')))),
	sql("SET search_path = " . join ', ', map { "schema_$_" } 1 .. 2000), sql(q(SELECT md5(current_setting('search_path')))));

is_unseen('a hundred settings', {},
	(map { sql("SET app.many_$_ = 'value $_'") } 1 .. 90),
	(map { sql("SET $_ = off") } qw(enable_seqscan enable_sort enable_hashagg enable_hashjoin enable_mergejoin
		enable_nestloop enable_material enable_memoize geqo jit)),
	sql(join ' UNION ALL ', map { "SELECT current_setting('app.many_$_')" } 1 .. 90),
	sql("SELECT name, setting FROM pg_settings WHERE source = 'session' ORDER BY name"));

is_unseen('a custom setting that is empty, and one that was never set', {},
	sql(q(SELECT current_setting('app.v', true) IS NULL, current_setting('app.w', true) IS NULL)),
	sql(q(SET app.v = '')), sql(q(SELECT current_setting('app.v', true), current_setting('app.w', true) IS NULL)),
	sql(q(SET app.w = 'set')), sql('RESET app.w'), sql(q(SELECT current_setting('app.w', true))),
	'finish a', 'open a ', sql(q(SELECT current_setting('app.v', true) IS NULL, current_setting('app.w', true) IS NULL)));

is_unseen('custom settings whose names are quoted', {},
	sql(q(SET "app.v" = 'whole')), sql(q(SET "app"."w" = 'in parts')), sql(q(SELECT current_setting('app.v'), current_setting('app.w'))));

is_unseen('SET LOCAL, and SET that is rolled back', {},
	sql(q(SET app.v = 'outside')), '+' . sql('BEGIN'), '+' . sql(q(SET LOCAL app.v = 'local')), '+' . sql(q(SET LOCAL work_mem = '9MB')),
	'+' . sql(q(SHOW app.v)), sql('COMMIT'), sql('SHOW app.v'), sql('SHOW work_mem'),
	'+' . sql('BEGIN'), '+' . sql(q(SET app.v = 'inside')), '+' . sql(q(SET app.w = 'new')), '+' . sql(q(SET search_path = nowhere)), sql('ROLLBACK'),
	sql('SHOW app.v'), sql(q(SELECT current_setting('app.w', true))), sql('SHOW search_path'),
	'+' . sql('BEGIN'), '+' . sql('SAVEPOINT here'), '+' . sql(q(SET app.v = 'inside')), '+' . sql('ROLLBACK TO here'), sql('COMMIT'),
	sql('SHOW app.v'));

is_unseen('settings set by functions and blocks',
	{ before => [ q{CREATE FUNCTION sets() RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('app.v', 'by a function', false);
			SET app.w = 'by SET in a function'; RETURN 'done'; END $$},
		q{CREATE FUNCTION with_clause() RETURNS text LANGUAGE sql SET app.clause = 'inside' AS 'SELECT current_setting(''app.clause'')'} ],
	  after => [ 'DROP FUNCTION sets()', 'DROP FUNCTION with_clause()' ] },
	sql('SELECT sets()'), sql('SHOW app.v'), sql('SHOW app.w'),
	sql(q{DO $$ BEGIN PERFORM set_config('app.block', 'by a block', false); PERFORM set_config('work_mem', '3MB', false); END $$}),
	sql('SHOW app.block'), sql('SHOW work_mem'),
	sql('SELECT with_clause()'), sql(q(SELECT current_setting('app.clause', true))),
	q{exec other SELECT current_setting('app.block', true) IS NULL, current_setting('app.clause', true) IS NULL});

is_unseen('what the program resets stays reset', {},
	sql(q(SET app.v = 'v')), sql(q(SET work_mem = '9MB')), sql(q(SET search_path = nowhere)), sql('PREPARE p AS SELECT 1'),
	sql('RESET ALL'), sql('SHOW work_mem'), sql('SHOW search_path'), sql(q(SELECT current_setting('app.v', true))), sql('EXECUTE p'),
	sql(q(SET work_mem = '8MB')), sql('DISCARD ALL'), sql('SHOW work_mem'), sql('SELECT count(*) FROM pg_prepared_statements'));

is_unseen('defaults of the role and of the database',
	{ login => 'user=spoilt dbname=spoilt',
	  before => [ 'CREATE ROLE spoilt LOGIN', 'CREATE DATABASE spoilt', q(ALTER ROLE spoilt SET work_mem = '6MB'), q(ALTER ROLE spoilt SET app.v = 'from the role'),
		q(ALTER DATABASE spoilt SET search_path = somewhere), q(ALTER ROLE spoilt IN DATABASE spoilt SET TimeZone = 'Asia/Tokyo'),
		q(ALTER DATABASE spoilt SET statement_timeout = '50s') ],
	  after => [ 'DROP DATABASE spoilt', 'DROP ROLE spoilt' ] },
	(map { sql("SHOW $_") } qw(work_mem app.v search_path TimeZone statement_timeout)),
	sql(q(SET work_mem = '7MB')), sql(q(SET app.v = 'own')), sql('SET statement_timeout = 0'), sql('SET TimeZone = UTC'),
	(map { sql("SHOW $_") } qw(work_mem app.v search_path TimeZone statement_timeout)),
	(map { sql("RESET $_") } qw(work_mem app.v TimeZone statement_timeout)),
	(map { sql("SHOW $_") } qw(work_mem app.v search_path TimeZone statement_timeout)));

# ---- Settings that are in the way of those who ask ----

is_unseen('a statement timeout', { errors => 2 }, sql(q(SET statement_timeout = '500ms')),
	sql('SELECT pg_sleep(30)'), 'error a', sql('SHOW statement_timeout'), sql('PREPARE p AS SELECT pg_sleep($1::float8)'), sql('EXECUTE p(0)'),
	sql('EXECUTE p(30)'), sql('RESET statement_timeout'), sql('SHOW statement_timeout'));

is_unseen('transactions that are read-only by default', { errors => 2 }, sql('SET default_transaction_read_only = on'),
	sql('CREATE TABLE never (a int)'), sql('SELECT 1'), sql(q(SET app.v = 'v')), sql('PREPARE p AS SELECT 1'), sql('EXECUTE p'), sql('SHOW app.v'),
	sql('CREATE TABLE never (a int)'), sql('SHOW transaction_read_only'));

is_unseen('transactions that are serializable, read-only and deferrable', { errors => 1 },
	sql('SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE'),
	(map { sql("SHOW $_") } qw(transaction_isolation transaction_read_only transaction_deferrable)),
	sql('PREPARE p AS SELECT 1'), sql('EXECUTE p'), sql('CREATE TABLE never (a int)'),
	sql('SELECT name, setting FROM pg_settings WHERE source = \'session\' ORDER BY name'));

is_unseen('a deferrable session is moved while a serializable transaction is open', { limit => 2 },
	'open writer ', sql('PREPARE p AS SELECT 1'), sql('SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE'),
	'exec writer CREATE TABLE serial (a int)', 'exec writer BEGIN ISOLATION LEVEL SERIALIZABLE', 'exec writer INSERT INTO serial VALUES (1)',
	sql('SHOW default_transaction_isolation'), sql('SHOW transaction_deferrable'),
	'exec writer COMMIT', sql('EXECUTE p'), 'exec writer DROP TABLE serial');

# What of ours looks at the server must not wait for a transaction that only this program can end.
subtest 'logins whose transactions wait for those of others' => sub {
	my $login = q{options='-c default_transaction_isolation=serializable -c default_transaction_read_only=on -c default_transaction_deferrable=on'};
	my $begin = 'BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE NOT DEFERRABLE';
	psql_value('CREATE TABLE waited_for (n int)');
	my @script = ("open w $login", 'exec w SELECT 1', (map { ("open $_ $login", "exec $_ SET default_transaction_deferrable = off", "exec $_ PREPARE p AS SELECT 3") } qw(a b)),
		'exec a SELECT 1', 'exec b SELECT 1', "exec w $begin", 'exec w SELECT count(*) FROM waited_for', 'exec w INSERT INTO waited_for VALUES (1)',
		'exec a SELECT 2', 'exec b SELECT 2', "open c $login", 'exec c SHOW default_transaction_deferrable', 'exec w ROLLBACK',
		map { ("exec $_ SHOW default_transaction_deferrable", "exec $_ SHOW lock_timeout") } qw(a b c));
	my ($direct, $leashed) = (play_direct(@script), play_leashed({ PQLEASH_LIMIT => 2, TIMEOUT => 60 }, @script));
	psql_value('DROP TABLE waited_for');
	is(errors_in($direct), 0, 'nothing fails');
	is(first_difference($direct, $leashed), '', 'no step answers differently') or diag($leashed->{err});
	like($leashed->{counts}, qr/backends 2/, '... in two backends');
};

my @shadows = (
	'CREATE SCHEMA shadow',
	q{CREATE FUNCTION shadow.trap() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'shadowed'; END $$},
	(map { my ($name, $arguments, $result) = @$_;
		"CREATE FUNCTION shadow.$name($arguments) RETURNS $result LANGUAGE plpgsql AS \$\$ BEGIN RAISE EXCEPTION 'shadowed'; END \$\$" }
		[ 'current_setting', 'text', 'text' ], [ 'current_setting', 'text, boolean', 'text' ], [ 'set_config', 'text, text, boolean', 'text' ],
		[ 'pg_backend_pid', '', 'int' ], [ 'pg_my_temp_schema', '', 'oid' ], [ 'pg_listening_channels', '', 'SETOF text' ],
		[ 'unnest', 'text[]', 'SETOF text' ], [ 'same', 'text, text', 'boolean' ], [ 'same', 'name, name', 'boolean' ],
		[ 'same', 'name, text', 'boolean' ], [ 'same', 'oid, oid', 'boolean' ], [ 'same', 'int, int', 'boolean' ],
		[ 'arrays', 'text[], text[]', 'boolean' ], [ 'current_database', '', 'name' ]),
	(map { my $types = $_; map { "CREATE OPERATOR shadow.$_ (LEFTARG = pg_catalog.$types->[0], RIGHTARG = pg_catalog.$types->[1], FUNCTION = shadow.same)" } qw(= <> ~~ ~* >=) }
		[ 'text', 'text' ], [ 'name', 'name' ], [ 'name', 'text' ], [ 'oid', 'oid' ], [ 'int4', 'int4' ]),
	'CREATE OPERATOR shadow.= (LEFTARG = pg_catalog.text[], RIGHTARG = pg_catalog.text[], FUNCTION = shadow.arrays)',
	(map { "CREATE VIEW shadow.$_ AS SELECT shadow.trap() AS name" } qw(pg_settings pg_prepared_statements pg_cursors pg_locks pg_depend
		pg_proc pg_roles pg_database pg_db_role_setting)),
	(map { "CREATE DOMAIN shadow.$_ AS pg_catalog.int4 CHECK (false)" } qw(text oid)),
	(map { "GRANT $_ TO PUBLIC" } 'USAGE ON SCHEMA shadow', 'SELECT ON ALL TABLES IN SCHEMA shadow'),
);

is_unseen('a search path that shadows everything of pg_catalog',
	{ errors => 3, before => \@shadows, after => [ 'DROP SCHEMA shadow CASCADE' ] },
	sql('PREPARE p AS SELECT 1 AS one'), 'prepare a q SELECT 2 AS two', sql('SET search_path = shadow, pg_catalog'),
	sql(q(SELECT set_config('app.v', 'x', false))), sql(q(SELECT 'a'::pg_catalog.text = 'b'::pg_catalog.text)),
	sql(q(SELECT * FROM pg_settings)), sql(q(SET app.v = 'v')), sql('SET work_mem = 2048'), sql('SHOW app.v'), sql('SHOW search_path'), sql('SHOW work_mem'),
	sql('EXECUTE p'), 'execute a q ');

is_unseen('a database whose default search path shadows everything',
	{ login => 'dbname=shadowed',
	  before => [ @shadows, 'CREATE DATABASE shadowed TEMPLATE postgres', 'ALTER DATABASE shadowed SET search_path = shadow, pg_catalog' ],
	  after => [ 'DROP DATABASE shadowed', 'DROP SCHEMA shadow CASCADE' ] },
	sql(q(SET app.v = 'v')), sql('SET work_mem = 2048'), sql('SHOW app.v'), sql('SHOW search_path'),
	'finish a', 'open a dbname=shadowed', sql('SHOW search_path'), sql('SHOW work_mem'));

is_unseen('strings where a backslash escapes', { errors => 1 },
	(map { sql($_) } 'SET escape_string_warning = off', 'SET standard_conforming_strings = off', 'SET backslash_quote = on'),
	sql(q(SELECT 'a\\'b', 'a\\\\b', 'a\\nb')), sql(q(SET app.v = 'it\\'s \\\\ so')), sql('SHOW app.v'),
	sql(q(PREPARE p AS SELECT 'a\\'b\\\\')), q(prepare a q SELECT 'c\\\\'d\\\\\\\\', $1::text), sql('EXECUTE p'), 'execute a q 1',
	'escape a ' . quoted(q(it's \\ so)), 'parameter a standard_conforming_strings',
	sql('DEALLOCATE ALL'), sql('SET backslash_quote = off'), sql(q(SELECT 'a\\'b')), sql('RESET standard_conforming_strings'), sql(q(SELECT 'a\\nb')),
	'escape a ' . quoted(q(it's \\ so)));

is_unseen('a lock timeout, an idle timeout, no row security, replica mode', {},
	sql('SET lock_timeout = 1'), sql(q(SET idle_session_timeout = '1h')), sql(q(SET idle_in_transaction_session_timeout = '1h')), sql('SET row_security = off'),
	sql('SET session_replication_role = replica'),
	sql(q(SELECT name, setting FROM pg_settings WHERE source = 'session' ORDER BY name)), sql('PREPARE p AS SELECT count(*) FROM pg_class WHERE false'), sql('EXECUTE p'));

is_unseen('the last error of a session that does not block', { errors => 1 }, 'nonblocking a 1', sql('SELECT * FROM nowhere'), 'error a', 'is_nonblocking a');

# ---- Encodings ----

my %encodings = (
	LATIN1 => "caf\xe9 \xdf\xff", LATIN9 => "\xa4 euro \xe9", WIN1251 => "\xcf\xf0\xe8\xe2\xe5\xf2",
	SJIS => "\x93\xfa\x96\x7b \x83\x5c\x95\x5c", EUC_JP => "\xc6\xfc\xcb\xdc \xa5\xbd", GBK => "\xc4\xe3\xba\xc3 \x81\x5c",
	BIG5 => "\xa7\x41\xa6\x6e \xa5\x5c", UTF8 => "\xe6\x97\xa5 \xf0\x9f\x90\x98", SQL_ASCII => "\xc3\xa9",
);
for my $encoding (sort keys %encodings) {
	my $text = $encodings{$encoding};

	is_unseen("client encoding $encoding", {},
		"encoding a $encoding", sql("SET app.v = '$text'"), sql('SHOW app.v'), sql("SELECT '$text', length('$text'), current_setting('client_encoding')"),
		sql("PREPARE \"p $text\" AS SELECT '$text' AS \"$text\""), 'prepare a ' . quoted("q $text", 1) . ' ' . quoted("SELECT '$text', \$1::text"),
		sql("EXECUTE \"p $text\""), 'execute a ' . quoted("q $text", 1) . ' ' . quoted($text), sql(q(SELECT encode(convert_to(current_setting('app.v'), 'UTF8'), 'hex'))),
		'escape a ' . quoted("it's $text"), 'parameter a client_encoding', 'info a',
		sql(q(SELECT name, statement FROM pg_prepared_statements ORDER BY name)), sql('RESET client_encoding'), 'info a');
}

is_unseen('state that the client encoding cannot tell', { errors => 1 },
	sql("SET app.v = '\xe6\x97\xa5\xe6\x9c\xac'"), sql("PREPARE p AS SELECT length('\xe6\x97\xa5\xe6\x9c\xac')"),
	sql('SET client_encoding = LATIN1'), sql(q(SELECT length(current_setting('app.v')))), sql('SHOW app.v'), sql('EXECUTE p'),
	sql('SET client_encoding = UTF8'), sql('SHOW app.v'), sql('EXECUTE p'));

is_unseen('a database in another encoding',
	{ login => 'dbname=latin1', before => [ q(CREATE DATABASE latin1 ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0) ], after => [ 'DROP DATABASE latin1' ] },
	'info a', sql("SET app.v = 'caf\xe9'"), sql('SHOW app.v'), sql('SET client_encoding = UTF8'), sql('SHOW app.v'), sql("SET app.w = 'caf\xc3\xa9'"),
	sql("SELECT current_setting('app.v') = current_setting('app.w'), length(current_setting('app.v'))"));

is_unseen('a database without an encoding',
	{ login => 'dbname=ascii', before => [ q(CREATE DATABASE ascii ENCODING SQL_ASCII LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0) ], after => [ 'DROP DATABASE ascii' ] },
	'info a', sql("SET app.v = 'any \xff\xfe\xe9'"), sql('SHOW app.v'), sql('SET client_encoding = LATIN1'), sql('SHOW app.v'), sql("PREPARE p AS SELECT '\xff\xe9'"), sql('EXECUTE p'),
	'info a');

# ---- Roles ----

my @roles = ('CREATE ROLE weak', q(CREATE ROLE "we'ird ""role"" \ $$ %s" LOGIN), q(GRANT weak TO "we'ird ""role"" \ $$ %s"), 'CREATE ROLE login LOGIN IN ROLE weak');
my @no_roles = map { "DROP ROLE $_" } 'login', q("we'ird ""role"" \ $$ %s"), 'weak';
my $who = sql('SELECT session_user, current_user, current_setting(\'role\'), current_setting(\'is_superuser\')');

is_unseen('a role without privileges', { errors => 1, before => \@roles, after => \@no_roles },
	sql('SET log_min_messages = fatal'), sql(q(SET dynamic_library_path = '/nowhere')), sql(q(SET app.v = 'v')), sql('PREPARE p AS SELECT 1'), sql('SET ROLE weak'), $who, sql('CREATE TABLE never (a int)'),
	sql('EXECUTE p'), sql('SHOW app.v'), sql('SHOW log_min_messages'), 'parameter a is_superuser', sql('RESET ROLE'), $who, sql('SHOW dynamic_library_path'), sql('SHOW log_min_messages'));

is_unseen('another session authorization, and a role on top of it', { errors => 1, before => \@roles, after => \@no_roles },
	sql(q(SET SESSION AUTHORIZATION "we'ird ""role"" \ $$ %s")), $who, sql('SET ROLE weak'), $who, sql('SET ROLE postgres'), 'parameter a session_authorization', 'info a',
	sql('SET ROLE NONE'), $who, sql('RESET SESSION AUTHORIZATION'), $who);

is_unseen('a login without privileges', { errors => 2, login => 'user=login', before => \@roles, after => \@no_roles },
	$who, sql(q(SET app.v = 'v')), sql('PREPARE p AS SELECT 1'), sql('SET log_min_messages = fatal'), sql('SET ROLE weak'), $who, sql('EXECUTE p'), sql('SHOW app.v'), sql('SET ROLE postgres'), $who);

for my $reset ('SET ROLE NONE', 'RESET ROLE', 'SET ROLE login', 'DISCARD ALL', 'SELECT 1') {
	is_unseen("a login with a default role, and $reset",
		{ login => 'user=login', before => [ @roles, 'ALTER ROLE login SET role = weak' ], after => \@no_roles },
		$who, sql(q(SET app.v = 'v')), $who, sql($reset), $who, sql('SHOW app.v'), sql('SET ROLE weak'), $who, 'finish a', 'open a user=login', $who);
}
is_unseen('a login with a default role, connected without blocking',
	{ how => 'start', login => 'user=login', before => [ @roles, 'ALTER ROLE login SET role = weak' ], after => \@no_roles },
	$who, sql('SET ROLE NONE'), $who, 'finish a', 'start a user=login', $who);

# ---- Prepared statements ----

my $odd = q(it's "odd" \ $$ %s);
is_unseen('prepared statements with odd names and texts', {},
	'prepare a ' . quoted($odd, 1) . q( SELECT 'it''s "odd" \\\\ %s', $1::text), 'execute a ' . quoted($odd, 1) . ' 1', 'describe a ' . quoted($odd, 1),
	sql(q(  PREPARE "it's ""odder"" \ $$ %s" AS SELECT $a$it's \ %s $a$, E'\\n\\'', $1 || 'x' /* a comment */ -- and another)),
	sql(q(EXECUTE "it's ""odder"" \ $$ %s"('a'))), sql('SELECT name, statement, parameter_types, from_sql FROM pg_prepared_statements ORDER BY name'),
	sql(q(DEALLOCATE "it's ""odder"" \ $$ %s")), sql('SELECT name FROM pg_prepared_statements'));

psql_value(q(CREATE TYPE mood AS ENUM ('sad', 'happy')));
is_unseen('prepared statements with types', { errors => 1 },
	'prepare_typed a p 23,25,0 SELECT $1, $2, $3::date', 'describe a p', 'execute a p 1,text,2024-01-02', 'execute a p x,text,2024-01-02',
	'prepare a q SELECT $1::mood[], $2::numeric(10,2), $3', 'execute a q {sad},1.234,x', sql('PREPARE r(int, mood, "char", timestamptz[]) AS SELECT $1, $2, $3, $4'),
	sql(q(EXECUTE r(1, 'happy', 'c', '{2024-01-01 00:00:00Z}'))), sql('SELECT name, parameter_types FROM pg_prepared_statements ORDER BY name'), 'describe a r',
	'prepare a none SELECT 1', 'execute a none ', 'describe a none');

is_unseen('three hundred prepared statements', {},
	(map { '+' . sql("PREPARE sql_$_ AS SELECT 'SQL $_'"), "+prepare a protocol_$_ SELECT 'protocol $_', \$1::text" } 1 .. 150),
	'status a', sql('SELECT count(*), md5(string_agg(name || statement, \',\' ORDER BY name)) FROM pg_prepared_statements'),
	(map { '+' . sql("EXECUTE sql_$_"), "+execute a protocol_$_ x" } 1 .. 150), sql('DEALLOCATE ALL'), sql('SELECT count(*) FROM pg_prepared_statements'));

is_unseen('statements that return nothing or change something', { before => [ 'CREATE TABLE kept (a int)' ], after => [ 'DROP TABLE kept' ] },
	sql('PREPARE i(int) AS INSERT INTO kept VALUES ($1) RETURNING a'), 'prepare a d DELETE FROM kept WHERE a = $1', sql('EXECUTE i(1)'), sql('EXECUTE i(2)'), 'execute a d 1',
	sql('SELECT * FROM kept'), sql('DEALLOCATE i'), 'execute a d 2', sql('SELECT count(*) FROM kept'));

# The unnamed statement is in no catalog: the session keeps its backend, and others take turns with what is left.
is_unseen('the unnamed prepared statement', { limit => 2 },
	'open b ', 'prepare a  SELECT $1::int + 1', 'exec b SELECT 1', 'execute a  1', 'exec b SELECT 1', 'prepare a named SELECT 2', 'exec b SELECT 1',
	'execute a  2', 'describe a ', 'execute a named ', 'exec b SELECT 1', 'exec b SELECT 1', 'execute a  3');

# Nor can these be read: the others take turns so that anyone who can be moved is.
for my $seed ('SET seed = 0.5', 'SET SESSION seed TO 0.5', 'SELECT setseed(0.5)') {
	is_unseen("random numbers after $seed", { limit => 2 },
		'open b ', sql($seed), ('+exec b SELECT 1', '+' . sql('SELECT random()'), 'exec b SELECT 1') x 3);
}

for my $computed (q(DO $$ BEGIN PERFORM set_config('app.' || 'unread', 'x', false); END $$), q(SELECT set_config(n, 'x', false) FROM (VALUES ('app.unread')) AS v(n)),
	q(DO $$ BEGIN EXECUTE format('SET %I.%I = %L', 'app', 'unread', 'x'); END $$), q(DO $$ BEGIN EXECUTE 'SET ' || 'app.' || 'unread TO x'; END $$),
	q(DO $$ BEGIN EXECUTE $q$SET SESSION $q$ || 'app.' || 'unread TO x'; END $$), 'SET "app"."unread" = x')
{
	my $read = q(SELECT current_setting('app.unread', true));
	is_unseen("a setting whose name is not to be read in $computed", { limit => 2 },
		'open b ', sql($computed), ("+exec b $read", '+' . sql($read), "exec b $read") x 3);
}

# ---- What libpq keeps ----

is_unseen('the last error', { errors => 4 },
	sql('SELECT 1/0'), 'error a', 'error a', 'status a', 'info a', 'parameter a DateStyle', 'socket a', 'error a', 'escape a x', 'error a', sql('SELECT 1/0'), sql('SELECT 1'), 'error a',
	'execute a nothing ', 'error a', 'error other', 'prepare a p SELECT nothing', 'error a');

is_unseen('what the connection is called, and where its texts are', {},
	'info a', 'keep a', '+' . sql('SELECT 1'), 'kept a', sql('SET client_encoding = LATIN1'), 'kept a', 'info a', sql(q(SET DateStyle = 'SQL, DMY')), 'kept a',
	(map { "parameter a $_" } qw(server_version server_encoding client_encoding is_superuser session_authorization DateStyle IntervalStyle
		TimeZone integer_datetimes standard_conforming_strings application_name default_transaction_read_only in_hot_standby no_such_parameter)),
	'keep other', 'kept other');

is_unseen('its status', { errors => 1 }, 'status a', sql('SELECT 1/0'), 'status a', '+' . sql('BEGIN'), '+status a', '+' . sql('COMMIT'), 'status a', 'status other', 'socket a', sql('SELECT 1'), 'socket a', 'status a');

my $notice = sql(q(DO $$ BEGIN RAISE NOTICE 'heard'; END $$));
is_unseen('its notice receiver', {}, 'notices a on', $notice, $notice, 'notices a on', 'notices other on', $notice, 'notices other off',
	sql('SELECT 1'), $notice, q(exec other DO $$ BEGIN SET LOCAL client_min_messages = warning; RAISE NOTICE 'unheard'; END $$), 'notices a off');

is_unseen('verbosity and context of its errors', { errors => 6 }, 'verbosity a 2', sql('SELECT 1/0'), 'context a 2', sql(q(DO $$ BEGIN PERFORM 1/0; END $$)), 'error a', 'verbosity a 0',
	sql('SELECT 1/0'), 'context a 0', sql(q(DO $$ BEGIN PERFORM 1/0; END $$)), 'exec other SELECT 1/0', 'verbosity a 1', 'context a 1', sql(q(DO $$ BEGIN PERFORM 1/0; END $$)),
	'verbosity other 1', 'context other 1');

is_unseen('nonblocking mode', {}, 'is_nonblocking a', 'nonblocking a 1', 'is_nonblocking a', 'is_nonblocking other', sql('SELECT 1'), 'is_nonblocking a',
	'+send a SELECT 1', 'results a', 'is_nonblocking other', 'nonblocking a 0', 'is_nonblocking a', 'nonblocking other 0');

# ---- Documented differences, and what no comparison can show ----

subtest 'a statement timeout of one millisecond' => sub {
	my $result = play_leashed({ PQLEASH_LIMIT => 1 }, with_moves('open a ', sql(q(SET app.v = 'v')), 'prepare a p SELECT 1',
			sql('SET statement_timeout = 1'), (sql('SHOW statement_timeout'), 'execute a p ', sql('SELECT pg_sleep(30)')) x 20, sql('SHOW app.v')), 'open other ');
	my @finished = grep { /TUPLES_OK SHOW/ } @{ $result->{answers} };
	is_deeply([ sort keys %{ { map { $_ => 1 } grep { /ms$/ } @finished } } ], ["PGRES_TUPLES_OK SHOW \n  1ms"], 'every statement that finishes shows it')
		or diag(explain(\@finished));
	is((grep { /57014 .*statement timeout/ } map { $result->{answers}[$_] } grep { $result->{commands}[$_] =~ /pg_sleep/ } 0 .. $#{ $result->{commands} }), 20,
		'every statement that takes longer is cancelled');
	like($result->{err}, qr/ 0 lost; at most 1 at the server at once$/, 'it is moved, not lost');
};

subtest 'a prepared statement whose table is gone' => sub {
	my $result = follows({ PQLEASH_LIMIT => 1 }, 'open a ' => 'OK IDLE', 'open b ' => 'OK IDLE', 'exec b CREATE TABLE going (a int)' => undef,
		'prepare a p SELECT * FROM going' => undef, 'prepare a q SELECT 1' => undef, 'exec b DROP TABLE going' => 'PGRES_COMMAND_OK DROP TABLE',
		'execute a p ' => qr/^PGRES_FATAL_ERROR  26000 ERROR:  prepared statement "p" does not exist/, 'execute a q ' => "PGRES_TUPLES_OK SELECT 1 \n  1");
	like($result->{err}, qr/\Apqleash: prepared statement "p" is forgotten: it can no longer be prepared\npqleash: 2 connections.*\n\z/, 'one line says so');
	like($result->{counts}, qr/peak 1$/, 'with one connection');
};

subtest 'a prepared statement whose table is locked' => sub {
	my $result = follows({ PQLEASH_LIMIT => 2, TIMEOUT => 60 }, 'open a ' => 'OK IDLE', 'open b ' => 'OK IDLE', 'open c ' => 'OK IDLE',
		'exec b CREATE TABLE locked (a int)' => undef, 'prepare a p SELECT * FROM locked' => undef, 'exec b SELECT 1' => undef, 'exec c SELECT 1' => undef,
		'exec b BEGIN; LOCK TABLE locked' => undef, 'exec a SELECT 1' => "PGRES_TUPLES_OK SELECT 1 \n  1", 'exec b COMMIT' => 'PGRES_COMMAND_OK COMMIT',
		'exec b DROP TABLE locked' => 'PGRES_COMMAND_OK DROP TABLE');
	like($result->{counts}, qr/peak 2$/, 'with two connections');
};

done_testing();
