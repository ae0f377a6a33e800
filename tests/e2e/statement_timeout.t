# The promise: with PQLEASH_STATEMENT_TIMEOUT the server ends a hung statement, in every session, however often
# its backend is reset or it moves; and whoever has a statement_timeout of his own keeps it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Steps;
use Test::More;

in_cluster('--max-connections', 60, '--config', 'log_statement=all');

psql_value("CREATE ROLE $_ LOGIN") for qw(with_own with_none);
psql_value('CREATE DATABASE with_own');
psql_value(q{ALTER ROLE with_own SET statement_timeout = '50s'});
psql_value('ALTER ROLE with_none SET statement_timeout = 0');
psql_value(q{ALTER DATABASE with_own SET statement_timeout = '40s'});

my %ours = (PQLEASH_STATEMENT_TIMEOUT => 77);

sub shows { return "PGRES_TUPLES_OK SHOW \n  $_[0]" }
my $set = 'PGRES_COMMAND_OK SET';

subtest 'a hung statement' => sub {
	follows({ PQLEASH_STATEMENT_TIMEOUT => 0.3 },
		'open a ' => 'OK IDLE',
		'exec a SELECT pg_sleep(30)' => qr/57014 ERROR:  canceling statement due to statement timeout/,
		'start b ' => 'OK IDLE',
		'exec b SELECT pg_sleep(30)' => qr/57014 ERROR:  canceling statement due to statement timeout/,
		'send b SELECT pg_sleep(30)' => '1',
		'results b' => qr/57014 ERROR:  canceling statement due to statement timeout/);
};

for my $way ('open a ', 'start a ', "login a |$ENV{PGPORT}|||postgres|", "open_params a 0 dbname=postgres", "start_params a 0 dbname=postgres") {
	subtest "every way to connect: $way" => sub {
		follows({%ours}, $way => 'OK IDLE', 'exec a SHOW statement_timeout' => shows('77s'),
			'reset a' => 'OK IDLE', 'exec a SHOW statement_timeout' => shows('77s'),
			'reset_start a' => 'OK IDLE', 'exec a SHOW statement_timeout' => shows('77s'),
			'finish a' => undef, $way => 'OK IDLE', 'exec a SHOW statement_timeout' => shows('77s'),
			'finish a' => undef, 'exec a SHOW statement_timeout' => shows('77s'));
	};
}

# Ten sessions: three have set something else, three have none, the others nothing.
my @own = ('', '', '', '', map { ("1${_}s", 0) } 1 .. 3);
for my $limit (1, 3) {
	for my $park (undef, 1) {
		subtest "moves, limit $limit" . ($park ? ', at every opportunity' : '') => sub {
			my @script = ((map { ("open s$_ ", $own[$_] ne '' ? "exec s$_ SET statement_timeout = '$own[$_]'" : "exec s$_ SET work_mem = '1${_}00kB'") } 0 .. 9),
				map { my $turn = $_; map { "exec s$_ SELECT current_setting('statement_timeout'), $turn" } 0 .. 9 } 1 .. 3);
			my $result = play_leashed({ %ours, PQLEASH_LIMIT => $limit, PQLEASH_TEST_PARK => $park }, @script);
			my @seen = map { /\n  (\S+)\|\d/ ? $1 : () } @{ $result->{answers} };
			is_deeply(\@seen, [ (map { $_ eq '' ? '77s' : $_ } @own) x 3 ], 'each session keeps what it has') or diag($result->{out});
			like($result->{counts}, qr/^opened 10, open 10, /, '... through the object');
		};
	}
}

# [ who has it, how it connects, what it sees ]
my @others = (
	[ 'the connection string', 'open a options=-cstatement_timeout=30s', '30s' ],
	[ 'the connection string, none', 'open a options=-cstatement_timeout=0', '0' ],
	[ 'the role', 'open a user=with_own', '50s' ],
	[ 'the role, none', 'open a user=with_none', '0' ],
	[ 'the database', 'open a dbname=with_own', '40s' ],
	[ 'the role before the database', 'open a user=with_own dbname=with_own', '50s' ],
	[ 'the role before the database, none', 'open a user=with_none dbname=with_own', '0' ],
);
for my $case (@others) {
	my ($who, $open, $own) = @$case;
	for my $how (qw(open start)) {
		subtest "$who has its own: $how" => sub {
			my @seen = map { ($_, 'exec a SHOW statement_timeout') } $open =~ s/^open/$how/r, 'reset a', 'exec a RESET ALL', 'exec a DISCARD ALL',
			  'exec a SET statement_timeout = 5', 'exec a RESET statement_timeout', 'open b ', 'exec b SELECT 1', 'option a options', 'info a';
			my $direct = play_direct(@seen);
			my $leashed = play_leashed({ %ours, PQLEASH_LIMIT => 1 }, @seen);
			is($direct->{answers}[1], shows($own), 'so it is without the object');
			is(first_difference($direct, $leashed), '', '... and with it, to the last');
		};
	}
}

subtest 'PGOPTIONS has its own' => sub {
	my @script = ('open a ', 'exec a SHOW statement_timeout', 'exec a RESET ALL', 'exec a SHOW statement_timeout', 'info a', 'finish a',
		'open b ', 'exec b SHOW statement_timeout');
	local $ENV{PGOPTIONS} = '-c statement_timeout=9s';
	my $direct = play_direct(@script);
	is($direct->{answers}[1], shows('9s'), 'so it is without the object');
	is(first_difference($direct, play_leashed({%ours}, @script)), '', '... and with it');
};

subtest 'what the program asked for when it connected is what it is told' => sub {
	my @script = ('open a options=-cwork_mem=2MB', 'info a', 'option a options', 'open b ', 'info b', 'option b options');
	is(first_difference(play_direct(@script), play_leashed({%ours}, @script)), '', 'no option is added');
};

for my $sends ('exec', 'send') {
	my @show = $sends eq 'exec' ? ('exec a SHOW statement_timeout' => shows('77s')) : ('send a SHOW statement_timeout' => '1', 'results a' => shows('77s') . ' none');
	subtest "the program takes it off: $sends" => sub {
		follows({%ours}, 'open a ' => 'OK IDLE',
			'exec a RESET ALL' => 'PGRES_COMMAND_OK RESET', @show,
			'exec a DISCARD ALL' => 'PGRES_COMMAND_OK DISCARD ALL', @show,
			'exec a reset statement_timeout' => 'PGRES_COMMAND_OK RESET', @show,
			q{exec a SET statement_timeout = '5s'} => $set,
			'exec a SET statement_timeout TO DEFAULT' => $set, @show,
			'exec a BEGIN' => undef, 'exec a RESET ALL' => undef, 'exec a SHOW statement_timeout' => shows('0'), 'exec a COMMIT' => undef, @show,
			'exec a BEGIN' => undef, 'exec a RESET ALL' => undef, 'exec a ROLLBACK' => undef, @show,
			'exec a RESET ALL; SET statement_timeout = 0' => $set, 'exec a SHOW statement_timeout' => shows('0'),
			'exec a SET statement_timeout = 0' => $set, 'exec a SHOW statement_timeout' => shows('0'));
	};
}

subtest 'taken off, and moved before it is back' => sub {
	follows({ %ours, PQLEASH_LIMIT => 1 }, 'open a ' => 'OK IDLE', 'exec a RESET ALL' => undef, 'open b ' => 'OK IDLE', 'exec b SELECT 1' => undef,
		'exec a SHOW statement_timeout' => shows('77s'), 'exec b SHOW statement_timeout' => shows('77s'));
};

# Of what the program could see of our own statements: event procedures, notices, notifications, the last error.
for my $name (qw(events events_of_results connect_start reset_start notify error_messages pipelines_at_once async_many cancel)) {
	subtest "our own statements are not seen: $name" => sub {
		my $program = build_dir() . "/tests/subjects/corpus/$name";
		my $direct = run({ LD_PRELOAD => undef, PQLEASH => undef }, $program);
		is($direct->{status}, 0, 'without the object it succeeds');
		is(leashed({ %ours, PQLEASH_LIMIT => 3 }, $program)->{out}, $direct->{out}, '... and prints the same with it');
	};
}

# What the server is asked by a session that is opened, used and finished, three times.
sub statements
{
	my ($env) = @_;
	my $line = log_size();
	my $result = play_leashed($env, map { ('open a ', 'exec a SELECT 1', 'finish a') } 1 .. 3);
	is(errors_in($result), 0, 'nothing fails');
	open my $log, '<', $ENV{CLUSTER_LOG} or die $!;
	my @lines = <$log>;
	return map { /LOG:  (?:statement|execute \S+): (\S+ \S+)/ ? $1 : () } @lines[ $line .. $#lines ];
}

subtest 'what it costs' => sub {
	my @off = statements({});
	is(scalar @off, 1 + 3 + 3, 'without it: one question at first, the statements, and a reset each') or diag(join "\n", @off);
	is(scalar statements({%ours}), @off + 2, 'with it: one more for each reset that is made use of');
	is(scalar statements({ PQLEASH_STATEMENT_TIMEOUT => 0 }), @off, '0 is without it');
};

done_testing();
