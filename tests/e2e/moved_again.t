# The promise: a session that is moved again and again is only asked whether it has changed, and whatever it has
# changed in the meantime, by whatever means, comes along.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Steps;
use Test::More;

in_cluster('--config', 'log_statement=all');

# How often the server was asked these since its log had so many lines.
sub asked_since
{
	my ($line) = @_;
	open my $log, '<', $ENV{CLUSTER_LOG} or die "$ENV{CLUSTER_LOG}: $!";
	my @lines = <$log>;
	my @new = @lines[ $line .. $#lines ];
	return { state => scalar(grep { /pg_catalog\.pg_settings/ && /AS kind/ } @new), change => scalar(grep { /SHOW ALL$/ } @new) };
}

# Two sessions take turns on one backend.
sub in_turns
{
	my ($rounds, @first) = @_;
	return ('open a ', 'open other ', 'exec other SELECT 0', @first, map { ("exec other SELECT $_", "exec a SELECT $_") } 1 .. $rounds);
}

my @state = ("exec a SET work_mem = '7MB'", "exec a SET application_name = 'a'", 'prepare a p SELECT current_setting($1)');
my $shown = q{exec a SELECT name, setting, source FROM pg_settings WHERE name = 'work_mem'};

subtest 'what has not changed is not read again' => sub {
	my $line = log_size();
	my $leashed = play_leashed({ PQLEASH_LIMIT => 1 }, in_turns(10, @state), 'execute a p work_mem', 'execute a p application_name');
	is($leashed->{answers}[-3], "PGRES_TUPLES_OK SELECT 1 \n  7MB", 'the settings are there');
	is($leashed->{answers}[-2], "PGRES_TUPLES_OK SELECT 1 \n  a", '... and the prepared statement');
	my $asked = asked_since($line);
	cmp_ok($asked->{state}, '<=', 6, 'the state is read a few times');
	cmp_ok($asked->{change}, '>=', 15, '... and all the others only whether it is the same');
};

# To the value that there is by default, so that nothing but pg_settings tells.
my %ways = (
	'SET' => [q{exec a SET work_mem = '4MB'}],
	'a SET behind an UPDATE' => [q{exec a UPDATE pg_class SET relpages = 1 WHERE false; SET work_mem = '4MB'}],
	'a SELECT in a WITH' => [q{exec a WITH x AS (SELECT set_config('work_mem', '4MB', false)) SELECT * FROM x}],
	'a function that was there' => ['exec a SELECT of_old()'],
	'a function of its own' => [
		q{exec a CREATE OR REPLACE FUNCTION pg_temp_free() RETURNS text LANGUAGE sql AS $$ SELECT set_config('work_mem', '4MB', false) $$},
		'exec other SELECT 1', 'exec a SELECT 1', 'exec other SELECT 1', 'exec a SELECT pg_temp_free()',
	],
	'a prepared statement' => [ q{prepare a s SET work_mem = '4MB'}, 'exec other SELECT 1', 'exec a SELECT 1', 'exec other SELECT 1', 'execute a s ' ],
	'a statement prepared in SQL' => [
		q{exec a PREPARE q AS SELECT set_config('work_mem', '4MB', false)}, 'exec other SELECT 1', 'exec a SELECT 1', 'exec other SELECT 1', 'exec a EXECUTE q',
	],
);
for my $way (sort keys %ways) {
	subtest "a setting made by $way" => sub {
		psql_value('DROP FUNCTION IF EXISTS of_old; DROP FUNCTION IF EXISTS pg_temp_free');
		psql_value(q{CREATE FUNCTION of_old() RETURNS text LANGUAGE sql AS $$ SELECT set_config('work_mem', '4MB', false) $$})
		  if $way eq 'a function that was there';
		my @script = (in_turns(4), @{ $ways{$way} }, 'exec other SELECT 1', $shown, 'exec other SELECT 1', $shown);
		my $direct = play_direct(@script);
		psql_value('DROP FUNCTION IF EXISTS pg_temp_free');
		my $leashed = play_leashed({ PQLEASH_LIMIT => 1 }, @script);
		is($direct->{answers}[-2], "PGRES_TUPLES_OK SELECT 1 \n  work_mem|4096|session", 'is one of the session');
		is(first_difference($direct, $leashed), '', 'and comes along');
		like($leashed->{counts}, qr/backends 1/, '... in one backend');
	};
}

# Nothing in the text tells of these: only the values do.
my %changes = (
	'a setting' => [ q{DO $$ BEGIN EXECUTE 'se' || 't work_mem = ''9MB'''; END $$}, q{SELECT current_setting('work_mem')}, '9MB' ],
	'a setting that only a superuser may change' => [ q{DO $$ BEGIN EXECUTE 'se' || 't log_min_messages = error'; END $$}, q{SELECT current_setting('log_min_messages')}, 'error' ],
	'a setting of a library that was not loaded before' => [
		q{DO $$ BEGIN EXECUTE 'se' || 't plpgsql.extra_errors = ''shadowed_variables'''; END $$}, q{SELECT current_setting('plpgsql.extra_errors')}, 'shadowed_variables' ],
	'a role' => [ q{DO $$ BEGIN EXECUTE 'se' || 't role = pg_monitor'; END $$}, 'SELECT current_user', 'pg_monitor' ],
	'a prepared statement' => [ q{DO $$ BEGIN EXECUTE 'prepare new as select 8'; END $$}, 'SELECT count(*) FROM pg_prepared_statements', '2' ],
	'a statement prepared anew' => [
		q{DO $$ BEGIN EXECUTE 'deallocate p'; EXECUTE 'prepare p as select 9'; END $$}, 'EXECUTE p', '9' ],
);
for my $what (sort keys %changes) {
	subtest "$what is changed without a word" => sub {
		my ($change, $question, $expected) = @{ $changes{$what} };
		# To load PL/pgSQL is a change to see, too: it is there before, but where it is just that.
		my @load = $what =~ /library/ ? () : 'exec other DO $$ BEGIN END $$';
		my @script = (in_turns(4, @load, @state), "exec a $change", 'exec other SELECT 1', "exec a $question",
			'exec other SELECT 1', "exec a $question");
		my ($direct, $leashed) = (play_direct(@script), play_leashed({ PQLEASH_LIMIT => 1 }, @script));
		is($leashed->{answers}[-2], "PGRES_TUPLES_OK SELECT 1 \n  $expected", 'and comes along');
		is(first_difference($direct, $leashed), '', 'as without us');
	};
}

# What cannot move is seen as well: of two backends, the others share one.
my %pins = (
	'a session advisory lock' => [ q{DO $$ BEGIN PERFORM pg_advisory_lock(7); END $$}, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'} ],
	'a cursor WITH HOLD' => [ q{DO $$ BEGIN EXECUTE 'declare kept cursor with hold for select 1'; END $$}, 'SELECT count(*) FROM pg_cursors' ],
	'a temporary table' => [ q{DO $$ BEGIN EXECUTE 'create temp table kept ()'; END $$}, q{SELECT count(*) FROM pg_class WHERE relname = 'kept' AND pg_table_is_visible(oid)} ],
	'a channel' => [ q{DO $$ BEGIN EXECUTE 'lis' || 'ten kept'; END $$}, 'SELECT count(*) FROM pg_listening_channels()' ],
);
for my $what (sort keys %pins) {
	subtest "$what is got without a word" => sub {
		my ($change, $question) = @{ $pins{$what} };
		my @others = map { ('exec other SELECT 1', 'exec third SELECT 1') } 1 .. 3;
		my @script = ('open a ', 'open other ', 'open third ', (map { "exec $_ DO \$\$ BEGIN END \$\$" } qw(a other third)), @state,
			(map { (@others, 'exec a SELECT 1') } 1 .. 3), "exec a $change", @others, "exec a $question");
		my ($direct, $leashed) = (play_direct(@script), play_leashed({ PQLEASH_LIMIT => 2 }, @script));
		is($leashed->{answers}[-2], "PGRES_TUPLES_OK SELECT 1 \n  1", 'and stays');
		is(first_difference($direct, $leashed), '', 'as without us');
		like($leashed->{counts}, qr/backends 2/, '... in two backends');
	};
}

subtest 'a session that has done nothing is moved after a role was made' => sub {
	for my $first ([], ['exec a SELECT 1']) {
		my $result = play_leashed({ PQLEASH_LIMIT => 2 }, 'open a ', @$first, 'open b ', 'exec b CREATE ROLE made', 'exec b BEGIN', 'open c ', 'exec c SELECT 2',
			'exec a SELECT 3', 'exec b COMMIT', 'exec b DROP ROLE made');
		is(errors_in($result), 0, 'nobody loses a backend') or diag(join "\n", @{ $result->{answers} }, $result->{err});
		is($result->{answers}[-4], "PGRES_TUPLES_OK SELECT 1 \n  3", 'the session goes on');
	}
};

done_testing();
