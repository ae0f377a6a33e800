# PostgreSQL's own programs, which use libpq hard, say and do the same on a leash as without it: psql, pg_dump and
# psql behind it, pg_dump and pg_restore with several workers (they fork), pgbench.
use strict;
use warnings;

use File::Temp;
use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Test::More;

in_cluster();

my $folder = File::Temp->newdir;
chomp(my $bindir = qx(pg_config --bindir));
$ENV{PATH} = "$bindir:$ENV{PATH}";

sub direct { my ($env, @command) = @_; return run({ LD_PRELOAD => undef, %$env }, @command) }

# What must differ between two runs: pids, object ids, times, the name of a dump's script, and for pgbench all that
# it measures.
sub masked
{
	my ($text) = @_;
	$text =~ s/\b(?:PID|pid) [ |]*\d+/PID ?/g;
	$text =~ s/\b(lo_import|lo_unlink|large object) \d+/$1 ?/g;
	$text =~ s/^\\((?:un)?restrict) \w+$/\\$1 ?/mg;
	$text =~ s/\d+\.\d+ m?s\b/? s/g;
	$text =~ s/^((?:latency|initial connection time|average connection time|tps)\b.*? = ).*/$1?/mg;
	return $text;
}

# Runs the command directly and on a leash. The leashed one says the same, even though it has been on a leash:
# once more with PQLEASH_DEBUG it tells so.
sub says_the_same
{
	my ($env, @command) = @_;
	my $direct = direct($env, @command);
	my $leashed = leashed($env, @command);
	is($leashed->{status}, $direct->{status}, 'the same status');
	is(masked($leashed->{out}), masked($direct->{out}), 'the same on stdout');
	is(masked($leashed->{err}), masked($direct->{err}), 'the same on stderr');
	like(leashed({ PQLEASH_DEBUG => 1, %$env }, @command)->{err}, qr/^pqleash: opened a backend for /m,
		'and it was on a leash');
	return $direct;
}

# ---- psql ----

my %scripts = (
	'descriptions' => <<'END',
\l
\du
\dn+
\dt pg_catalog.pg_c*
\d pg_class
\df pg_catalog.abs
\dconfig max_connections
\sf pg_catalog.pg_relation_size(regclass)
\d nowhere
SELECT 1 AS one, 'text' AS two \gx
SELECT g AS x, g % 2 AS y, g * g FROM generate_series(1, 4) g \crosstabview
\gdesc
SELECT 1 AS a, now() AS b \gdesc
END
	'variables' => <<'END',
SELECT 40 + 2 AS answer, 'it''s' AS quoted \gset got_
\echo :got_answer :'got_quoted' :"got_quoted"
SELECT :got_answer + 1, :'got_quoted';
SELECT format('SELECT %s AS made', g) FROM generate_series(1, 3) g \gexec
\if :got_answer
SELECT 'chosen';
\else
SELECT 'not chosen';
\endif
\echo :ROW_COUNT :ERROR :SQLSTATE :SERVER_VERSION_NUM :DBNAME :USER :ENCODING
SELECT pg_backend_pid() > 0, pg_backend_pid() = pg_backend_pid();
END
	'errors and notices' => <<'END',
SELECT 1 / 0;
\errverbose
SELEC 1;
\set VERBOSITY verbose
SELECT * FROM nowhere;
\set VERBOSITY sqlstate
SELECT * FROM nowhere;
\set VERBOSITY default
\set SHOW_CONTEXT always
DO $$ BEGIN RAISE NOTICE 'a notice'; RAISE WARNING 'a warning' USING HINT = 'a hint'; RAISE INFO 'an info'; END $$;
DO $$ BEGIN RAISE EXCEPTION 'an exception' USING ERRCODE = 'P0042'; END $$;
\echo :LAST_ERROR_SQLSTATE :LAST_ERROR_MESSAGE
SET statement_timeout = 20;
SELECT pg_sleep(10);
RESET statement_timeout;
CREATE TABLE IF NOT EXISTS pg_temp.t (i int PRIMARY KEY);
CREATE TABLE IF NOT EXISTS pg_temp.t (i int);
INSERT INTO pg_temp.t VALUES (1), (1);
SET client_min_messages = debug1;
CREATE TABLE pg_temp.u (i serial UNIQUE);
END
	'transactions' => <<'END',
DROP TABLE IF EXISTS kept;
CREATE TABLE kept (i int);
BEGIN;
INSERT INTO kept VALUES (1);
SAVEPOINT s;
SELECT nonsense;
SELECT 'ignored';
ROLLBACK TO s;
SELECT count(*) FROM kept;
COMMIT;
\set AUTOCOMMIT off
INSERT INTO kept VALUES (2);
ROLLBACK;
\set ON_ERROR_ROLLBACK on
INSERT INTO kept VALUES (3);
SELECT nonsense;
COMMIT;
\set AUTOCOMMIT on
SELECT * FROM kept ORDER BY i;
COMMIT;
BEGIN; INSERT INTO kept VALUES (4); SELECT 1 / 0; COMMIT;
SELECT 'first' \; SELECT 'second';
DROP TABLE kept;
END
	'copy' => <<'END',
CREATE TEMPORARY TABLE c (i int, t text);
\copy c FROM PROGRAM 'seq 1 3 | sed "s/$/\ttext/"'
COPY c FROM STDIN;
4	four
5	\N
\.
COPY c FROM STDIN (FORMAT csv);
six,seven
\.
\copy c TO STDOUT (FORMAT csv)
COPY c TO STDOUT;
\copy (SELECT count(*) FROM c) TO PROGRAM 'cat'
\copy c FROM '/nowhere/at/all'
SELECT * FROM c ORDER BY i;
END
	'cursors, statements, large objects, notifications' => <<'END',
\set FETCH_COUNT 2
SELECT generate_series(1, 5);
SELECT 1 / (3 - g) FROM generate_series(1, 5) g;
\unset FETCH_COUNT
PREPARE p (int) AS SELECT $1 * 2;
EXECUTE p(21);
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT generate_series(1, 3);
COMMIT;
FETCH 2 FROM held;
\lo_import /etc/passwd 'a comment'
SELECT length(lo_get(:LASTOID)) > 0 AS imported;
\lo_export :LASTOID /dev/null
\lo_unlink :LASTOID
\lo_unlink :LASTOID
LISTEN l;
NOTIFY l, 'payload';
SELECT 1;
UNLISTEN *;
END
	'connecting again' => <<'END',
\conninfo
SET search_path = elsewhere;
SET my.own = 'value';
PREPARE p AS SELECT 1;
CREATE TEMPORARY TABLE t (i int);
BEGIN;
\c
\echo :USER :DBNAME
SHOW search_path;
SELECT current_setting('my.own', true) IS NULL;
EXECUTE p;
SELECT * FROM t;
SELECT txid_current_if_assigned() IS NULL;
\c -reuse-previous=on dbname=template1 application_name=again
\conninfo
SHOW application_name;
\c postgres
\encoding LATIN1
SHOW client_encoding;
SELECT chr(228) = E'\xe4';
\c
SHOW client_encoding;
END
	'connecting as nobody' => <<'END',
SELECT 'with a connection';
\c - nobody_of_this_name
SELECT 'no more';
END
);

# From a file psql says in which line it is, also in front of the server's notices.
sub script_file
{
	my ($name) = @_;
	open my $file, '>', "$folder/script.sql" or die "$folder: $!";
	print {$file} $scripts{$name};
	close $file or die "$folder: $!";
	return "$folder/script.sql";
}

for my $name (sort keys %scripts) {
	subtest "psql: $name" => sub {
		my $direct = says_the_same({}, 'psql', '-X', '-f', script_file($name));
		cmp_ok(length($direct->{out} . $direct->{err}), '>', 50, 'it had something to say');
	};
}

subtest 'psql that connects again and again' => sub {
	my $line = log_size();
	my $direct = says_the_same({ STDIN => "\\c\nSELECT 1;\n" x 10 }, 'psql', '-X');
	is($direct->{status}, 0, 'it can');
	# Its first connection has no passfile among its parameters, the others have.
	is(opened_since($line), 11 + 2 * 3, 'which is 11 connections directly, and 3 on a leash');
};

for my $option (qw(-1 -e -E -q -At --csv)) {
	subtest "psql $option" => sub {
		says_the_same({ STDIN => $scripts{transactions} }, 'psql', '-X', $option, '-v', 'ON_ERROR_STOP=0');
	};
}

# It ends without closing what is left of its connection: a leak, if a small one.
subtest 'psql whose connection is killed' => sub {
	my @command = ({ STDIN => 'SELECT 1; SELECT pg_terminate_backend(pg_backend_pid()); SELECT 2;' }, 'psql', '-X');
	my ($direct, $leashed) = (direct(@command), leashed(@command));
	is($leashed->{status}, $direct->{status}, 'the same status');
	is($leashed->{out}, $direct->{out}, 'the same on stdout');
	like($leashed->{err}, qr/\A\Q$direct->{err}\Epqleash: 1 connections opened, 1 never finished, .*\n\z/,
		'the same on stderr, and a line at the end');
};

subtest 'psql -c, -l, and a database that is not there' => sub {
	says_the_same({}, 'psql', '-X', '-c', 'SELECT 1', '-c', '\conninfo', '-c', 'SELECT 1 / 0');
	says_the_same({}, 'psql', '-X', '-l');
	my $direct = says_the_same_failure('psql', '-X', '-d', 'nowhere', '-c', 'SELECT 1');
	is($direct->{status}, 2, 'which fails');
};

# No backend is ever opened.
sub says_the_same_failure
{
	my @command = @_;
	my ($direct, $leashed) = (direct({}, @command), leashed({}, @command));
	is($leashed->{err}, $direct->{err}, 'the same words of failure');
	is($leashed->{status}, $direct->{status}, 'and the same status');
	return $direct;
}

# ---- pg_dump, pg_restore ----

psql_value($_) for 'CREATE DATABASE source', 'CREATE ROLE reader';
direct({ STDIN => <<'END' }, qw(psql -XqAt -v ON_ERROR_STOP=1 -d source))->{status} == 0 or BAIL_OUT('no source');
CREATE SCHEMA "odd ""name"; COMMENT ON SCHEMA "odd ""name" IS 'a comment';
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE "odd ""name".t (id serial PRIMARY KEY, m mood DEFAULT 'ok', d date, b bytea, UNIQUE (m, id));
INSERT INTO "odd ""name".t (d, b) SELECT '2000-01-01'::date + g, decode(md5(g::text), 'hex') FROM generate_series(1, 1000) g;
CREATE TABLE referring (t int REFERENCES "odd ""name".t, txt text CHECK (txt <> E'a\tb'));
INSERT INTO referring SELECT g, E'line\nbreak ' || g FROM generate_series(1, 1000) g;
CREATE INDEX ON referring (txt); CREATE VIEW seen AS SELECT * FROM referring; GRANT SELECT ON seen TO reader;
CREATE MATERIALIZED VIEW mat AS SELECT count(*) FROM referring;
CREATE FUNCTION f(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN $1 + 1; END $$;
CREATE TRIGGER tr BEFORE INSERT ON referring FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
SELECT lo_from_bytea(424242, 'a large object');
ALTER DATABASE source SET search_path = public, "odd ""name";
END

sub new_database { psql_value($_) for map { ("DROP DATABASE IF EXISTS $_", "CREATE DATABASE $_") } @_; return }
sub dump_of { return masked(direct({}, 'pg_dump', @_)->{out}) }

subtest 'pg_dump' => sub {
	my $direct = says_the_same({}, 'pg_dump', 'source');
	cmp_ok(length $direct->{out}, '>', 10000, 'it dumps something');
	says_the_same({}, 'pg_dump', '--inserts', '--create', 'source');
	says_the_same({}, 'pg_dumpall', '--globals-only');
};

subtest 'pg_dump | psql' => sub {
	my $copy = sub {
		my ($how, $to) = @_;
		new_database($to);
		return $how->({}, 'sh', '-c', 'pg_dump source | psql -X -v ON_ERROR_STOP=1 -d "$1"', 'sh', $to);
	};
	my $direct = $copy->(\&direct, 'copied');
	my $leashed = $copy->(\&leashed, 'copied_on_leash');
	is($leashed->{status}, $direct->{status}, 'the same status');
	is(masked($leashed->{out}), masked($direct->{out}), 'the same on stdout');
	is($leashed->{err}, $direct->{err}, 'the same on stderr');
	ok(dump_of('copied_on_leash') eq dump_of('copied'), 'the same database');
	ok(dump_of('copied_on_leash') eq dump_of('source'), 'which is the one that was copied');
};

subtest 'pg_dump and pg_restore with several workers' => sub {
	new_database('restored');
	my $dump = leashed({}, 'pg_dump', '-Fd', '-j', 2, '-f', "$folder/dump", 'source');
	is("$dump->{status}$dump->{out}$dump->{err}", '0', 'pg_dump has nothing to say');
	my $line = log_size();
	my $restore = leashed({}, 'pg_restore', '-j', 2, '-d', 'restored', "$folder/dump");
	is("$restore->{status}$restore->{out}$restore->{err}", '0', 'pg_restore has nothing to say');
	ok(dump_of('restored') eq dump_of('source'), 'the database is the one that was dumped');
	is(server_connections(), 0, 'no connection is left');
};

# ---- pgbench ----

direct({}, 'pgbench', '-i', '-q');    # the first time it says what is not there yet

subtest 'pgbench -i' => sub {
	says_the_same({}, 'pgbench', '-i', '-q');
	is(psql_value('SELECT count(*) FROM pgbench_accounts'), 100_000, 'the tables are filled');
};

for my $options ([], [qw(-M extended)], [qw(-M prepared)], [qw(-C)], [qw(-j 2)], [qw(-j 2 -C -M prepared)], [qw(-b select-only)]) {
	subtest "pgbench -c 2 -t 200 @$options" => sub {
		my @command = (qw(pgbench -c 2 -t 200), @$options);
		my $rows = "@$options" =~ /select/ ? 0 : 400;
		my ($direct, $leashed) = (direct({}, @command), leashed({}, @command));
		is($leashed->{status}, 0, 'status 0');
		is(masked($leashed->{out}), masked($direct->{out}), 'the same on stdout');
		is($leashed->{err}, $direct->{err}, 'the same on stderr');
		# Each run empties this table first.
		is(psql_value('SELECT count(*) FROM pgbench_history'), $rows, 'every transaction was made');
		my $line = log_size();
		like(leashed({ PQLEASH_DEBUG => 1 }, @command)->{err}, qr/^pqleash: opened a backend for /m,
			'and it was on a leash');
		cmp_ok(peak_since($line), '<=', 3, 'of three');
	};
}

# Connecting anew for each of 400 transactions is where the leash saves something.
subtest 'pgbench -C' => sub {
	my $line = log_size();
	leashed({}, qw(pgbench -n -C -c 2 -t 200));
	cmp_ok(opened_since($line), '<=', 3, '400 connects of the program are at most 3 at the server');
};

done_testing();
