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

subtest 'a session that has done nothing is moved after a role was made' => sub {
	for my $first ([], ['exec a SELECT 1']) {
		my $result = play_leashed({ PQLEASH_LIMIT => 2 }, 'open a ', @$first, 'open b ', 'exec b CREATE ROLE made', 'exec b BEGIN', 'open c ', 'exec c SELECT 2',
			'exec a SELECT 3', 'exec b COMMIT', 'exec b DROP ROLE made');
		is(errors_in($result), 0, 'nobody loses a backend') or diag(join "\n", @{ $result->{answers} }, $result->{err});
		is($result->{answers}[-4], "PGRES_TUPLES_OK SELECT 1 \n  3", 'the session goes on');
	}
};

done_testing();
