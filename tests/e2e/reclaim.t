# A leaked session that cannot be moved does not block the pool: when nothing else is left it is given up, in the
# order and within the limits that PQLEASH_RECLAIM sets, and whoever still uses it is told so, and never sees
# another session's state.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Steps;
use Test::More;

in_cluster();
psql_value('CREATE TABLE kept (a int)');

# What cannot move: how a session comes to hold it, why it cannot move, and how to let go of it, if it can.
my @pins = (
	{ name => 'a temporary table', hold => 'exec %s CREATE TEMP TABLE t AS SELECT 1 AS secret', why => 'holds a temporary object', let_go => 'exec %s DROP TABLE t' },
	{ name => 'a temporary view', hold => 'exec %s CREATE TEMP VIEW t AS SELECT 1 AS secret', why => 'holds a temporary object', let_go => 'exec %s DROP VIEW t' },
	{ name => 'an open transaction', hold => 'exec %s BEGIN; INSERT INTO kept VALUES (1)', why => 'was in a transaction', let_go => 'exec %s ROLLBACK' },
	{ name => 'a failed transaction', hold => 'exec %s BEGIN; SELECT 1/0', why => 'was in a transaction', let_go => 'exec %s ROLLBACK' },
	{ name => 'LISTEN', hold => 'exec %s LISTEN news', why => 'is listening for notifications', let_go => 'exec %s UNLISTEN news' },
	{ name => 'a session advisory lock', hold => 'exec %s SELECT pg_advisory_lock(7)', why => 'holds a session advisory lock', let_go => 'exec %s SELECT pg_advisory_unlock(7)' },
	{ name => 'a cursor WITH HOLD', hold => 'exec %s DECLARE c CURSOR WITH HOLD FOR SELECT 1', why => 'holds a cursor WITH HOLD', let_go => 'exec %s CLOSE c' },
	{ name => 'an unnamed prepared statement', hold => 'prepare %s  SELECT 1', why => 'may execute its unnamed prepared statement', let_go => 'exec %s SELECT 1' },
	{ name => 'its pid in the hands of the program', hold => 'pid %s', why => q(has told the program its backend's pid) },
	{ name => 'a pid asked for in SQL', hold => 'exec %s SELECT pg_backend_pid()', why => q(has told the program its backend's pid) },
);

sub pinned { my ($session, $pin) = @_; return sprintf(($pin // $pins[0])->{hold}, $session) => undef }

# What every use of a lost session answers.
sub taken_away
{
	my ($why, $limit) = @_;
	return qr/pqleash: this connection \(suite \w+, opened by steps\+0x[0-9a-f]+ \d+ s ago\) was taken away: it $why, looked abandoned, and all $limit backends were in use; raise PQLEASH_LIMIT or set PQLEASH_RECLAIM=never\\n$/;
}

# Everything that could have come from another session, or be left of an earlier life.
my $state = q(SELECT current_setting('app.secret', true), to_regclass('pg_temp.t'), (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_cursors),
	(SELECT count(*) FROM pg_listening_channels()), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), (SELECT count(*) FROM kept)) =~ s/\s+/ /gr;
my $nothing = "PGRES_TUPLES_OK SELECT 1 \n  <NULL>|<NULL>|0|0|0|0|0";
my $works = "PGRES_TUPLES_OK SELECT 1 \n  works";

sub ends_with
{
	my ($result, $line, $limit, $lost) = @_;
	is(peak_since($line), $limit, 'the server has never seen more connections than the limit');
	like($result->{counts}, qr/peak $limit$/, 'nor has pqleash');
	like($result->{err}, qr/^pqleash: \d+ connections opened, .* $lost lost; at most $limit at the server at once$/m, "$lost lost in all");
	return;
}

for my $limit (1, 2) {
	for my $pin (@pins) {
		subtest "$limit leaked with $pin->{name}, limit $limit" => sub {
			my $line = log_size();
			my @leaked = map { "leaked$_" } 1 .. $limit;
			my $result = follows({ PQLEASH_LIMIT => $limit, TIMEOUT => 60 },
				(map { ("open $_ " => 'OK IDLE', "exec $_ SET app.secret = 'of $_'" => 'PGRES_COMMAND_OK SET') } @leaked),
				pinned($leaked[0], $pin), (map { pinned($_, { hold => 'exec %s BEGIN' }) } @leaked[ 1 .. $limit - 1 ]),    # goes last of all
				'open next ' => 'OK IDLE',
				"exec next $state" => $nothing,
				'status leaked1' => 'BAD UNKNOWN',
				'exec leaked1 SELECT 1' => qr/^no result: ${\taken_away($pin->{why}, $limit)}/,
				'error leaked1' => taken_away($pin->{why}, $limit),
				'prepare leaked1 p SELECT 1' => qr/^no result: ${\taken_away($pin->{why}, $limit)}/,
				'send leaked1 SELECT 1' => qr/^0 ${\taken_away($pin->{why}, $limit)}/,
				'results leaked1' => 'none',
				q(exec next SELECT 'works') => $works,
				'reset leaked1' => 'OK IDLE',
				"exec leaked1 $state" => $nothing,
				'status leaked1' => 'OK IDLE',
				q(exec next SELECT 'works') => $works);
			ends_with($result, $line, $limit, 1);
		};
	}
}

for my $pin (grep { $_->{let_go} } @pins) {
	subtest "a session lets go of $pin->{name} and can be moved again" => sub {
		my $line = log_size();
		my $result = follows({ PQLEASH_LIMIT => 1 },
			'open a ' => 'OK IDLE', q(exec a SET app.secret = 'of a') => 'PGRES_COMMAND_OK SET',
			pinned('a', $pin), sprintf($pin->{let_go}, 'a') => qr/_OK/,
			'open next ' => 'OK IDLE', "exec next $state" => $nothing,
			q(exec a SHOW app.secret) => "PGRES_TUPLES_OK SHOW \n  of a", "exec next $state" => $nothing);
		ends_with($result, $line, 1, 0);
	};
}

subtest 'a session that can be moved goes before one that cannot, however long that was not used' => sub {
	my $line = log_size();
	my $result = follows({ PQLEASH_LIMIT => 2 },
		'open pinned ' => 'OK IDLE', pinned('pinned'), 'open portable ' => 'OK IDLE', q(exec portable SET app.secret = 'its') => undef,
		'open next ' => 'OK IDLE', q(exec next SELECT 'works') => $works, 'open another ' => 'OK IDLE', q(exec another SELECT 'works') => $works,
		q(exec portable SHOW app.secret) => "PGRES_TUPLES_OK SHOW \n  its", 'exec pinned SELECT secret FROM t' => "PGRES_TUPLES_OK SELECT 1 \n  1");
	ends_with($result, $line, 2, 0);
};

subtest 'the order: one of a suite that has ended, the one not used for longest, one in a transaction' => sub {
	my $line = log_size();
	my $result = follows({ PQLEASH_LIMIT => 3, PQLEASH_DEBUG => 1 },
		'suite_begin over' => '', 'open of_ended_suite ' => 'OK IDLE', 'suite_end' => '', 'suite_begin on' => '',
		'open in_transaction ' => 'OK IDLE', 'exec in_transaction BEGIN' => undef,
		'open pinned ' => 'OK IDLE', pinned('pinned'),
		pinned('of_ended_suite'),    # used last of all, but its suite has ended
		'open first ' => 'OK IDLE', 'exec first BEGIN' => 'PGRES_COMMAND_OK BEGIN',
		'open second ' => 'OK IDLE', 'exec second BEGIN' => 'PGRES_COMMAND_OK BEGIN',
		'open third ' => 'OK IDLE', 'exec third BEGIN' => 'PGRES_COMMAND_OK BEGIN',
		(map { ("status $_" => 'BAD UNKNOWN') } qw(of_ended_suite pinned in_transaction)), (map { ("exec $_ COMMIT" => 'PGRES_COMMAND_OK COMMIT') } qw(first second third)));
	ends_with($result, $line, 3, 3);
	my @order = $result->{err} =~ /^pqleash: this connection .*? was taken away: it (holds|was)/mg;
	my @suites = $result->{err} =~ /^pqleash: this connection \(suite (\w+),/mg;
	is_deeply([ \@order, \@suites ], [ [qw(holds holds was)], [qw(over on on)] ], 'in that order') or diag($result->{err});
};

subtest 'what a reclaimed transaction did is rolled back' => sub {
	my $line = log_size();
	my $result = follows({ PQLEASH_LIMIT => 1 }, 'open a ' => 'OK IDLE', 'exec a BEGIN; INSERT INTO kept VALUES (42)' => undef,
		'open next ' => 'OK IDLE', 'exec next SELECT count(*) FROM kept' => "PGRES_TUPLES_OK SELECT 1 \n  0",
		'exec a COMMIT' => qr/^no result: ${\taken_away('was in a transaction', 1)}/, 'exec next SELECT count(*) FROM kept' => "PGRES_TUPLES_OK SELECT 1 \n  0");
	ends_with($result, $line, 1, 1);
};

subtest 'a lost session can be finished, and opened again' => sub {
	my $line = log_size();
	my $result = follows({ PQLEASH_LIMIT => 1 }, 'open a ' => 'OK IDLE', pinned('a'), 'open next ' => 'OK IDLE', q(exec next SELECT 'works') => $works,
		'status a' => 'BAD UNKNOWN', 'finish a' => '', 'open a ' => 'OK IDLE', "exec a $state" => $nothing, 'finish a' => '', 'finish next' => '');
	ends_with($result, $line, 1, 1);
};

subtest 'reset without blocking brings a lost session back too' => sub {
	my $line = log_size();
	my $result = follows({ PQLEASH_LIMIT => 1 }, 'open a ' => 'OK IDLE', pinned('a'), 'open next ' => 'OK IDLE', q(exec next SELECT 'works') => $works,
		'reset_start a' => 'OK IDLE', "exec a $state" => $nothing, q(exec next SELECT 'works') => $works);
	ends_with($result, $line, 1, 1);
};

subtest 'ended: only where the suite is known to have ended' => sub {
	my $line = log_size();
	my $result = follows({ PQLEASH_LIMIT => 2, PQLEASH_RECLAIM => 'ended', PQLEASH_POOL_TIMEOUT => 60, TIMEOUT => 30 },
		'suite_begin over' => '', 'open of_ended_suite ' => 'OK IDLE', pinned('of_ended_suite'), 'suite_end' => '',
		'suite_begin on' => '', 'open pinned ' => 'OK IDLE', pinned('pinned'),
		'open next ' => 'OK IDLE', 'exec next BEGIN' => 'PGRES_COMMAND_OK BEGIN', 'status of_ended_suite' => 'BAD UNKNOWN',
		'open refused ' => qr/^BAD UNKNOWN pqleash: all 2 backends are held and none may be taken: .*; raise PQLEASH_LIMIT or set PQLEASH_RECLAIM=lru\\n$/,
		'exec pinned SELECT secret FROM t' => "PGRES_TUPLES_OK SELECT 1 \n  1", 'exec next COMMIT' => 'PGRES_COMMAND_OK COMMIT');
	ends_with($result, $line, 2, 1);
};

subtest 'never: the new connection fails at once, and its error names every holder' => sub {
	my $line = log_size();
	my $place = qr/opened by steps\+0x[0-9a-f]+ \d+ s ago/;
	my %holder = (alpha => qr/suite alpha, $place, holds a temporary object/, beta => qr/suite beta, $place, is in a transaction/,
		gamma => qr/suite gamma, $place, is listening for notifications/);
	my $result = follows({ PQLEASH_LIMIT => 3, PQLEASH_RECLAIM => 'never', PQLEASH_POOL_TIMEOUT => 60, TIMEOUT => 30 },
		'suite_begin alpha' => '', 'open a ' => 'OK IDLE', pinned('a'), 'suite_begin beta' => '', 'open b ' => 'OK IDLE', 'exec b BEGIN' => undef,
		'suite_begin gamma' => '', 'open c ' => 'OK IDLE', 'exec c LISTEN news' => undef,
		'open refused ' => qr/^BAD UNKNOWN pqleash: all 3 backends are held and none may be taken: \(1\) .+; \(2\) .+; \(3\) .+; raise PQLEASH_LIMIT or set PQLEASH_RECLAIM=lru\\n$/,
		(map { ('error refused' => $holder{$_}) } sort keys %holder),
		'exec refused SELECT 1' => qr/^no result: pqleash: all 3 backends are held/, 'status refused' => 'BAD UNKNOWN',
		'finish refused' => '',
		'exec a SELECT secret FROM t' => "PGRES_TUPLES_OK SELECT 1 \n  1", 'exec b COMMIT' => 'PGRES_COMMAND_OK COMMIT',
		'open welcome ' => 'OK IDLE', q(exec welcome SELECT 'works') => $works,    # b can be moved now
		'exec b BEGIN' => undef, 'reset welcome' => qr/^BAD UNKNOWN pqleash: all 3 backends are held/, 'exec b COMMIT' => 'PGRES_COMMAND_OK COMMIT',
		'reset welcome' => 'OK IDLE', q(exec welcome SELECT 'works') => $works);
	is($result->{timed_out}, undef, 'without waiting for the pool timeout: there is nobody else to wait for');
	ends_with($result, $line, 3, 0);
	is(scalar(() = $result->{err} =~ /^pqleash: all 3 backends are held and none may be taken: .*$/mg), 2, 'each failure is one line on stderr too');
};

my %active = (
	'a query whose result was not fetched' => { begin => 'send a SELECT 7', end => [ 'results a' => qr/^PGRES_TUPLES_OK SELECT 1 \n  7 none$/ ] },
	'a COPY FROM STDIN' => { begin => 'exec a COPY kept FROM STDIN', end => [ 'put a 7\n' => '1', 'put_end a' => '1 PGRES_COMMAND_OK COPY 1  none', 'exec a TRUNCATE kept' => undef ] },
	'a COPY TO STDOUT' => { begin => 'exec a COPY (SELECT 7) TO STDOUT', end => [ 'get a' => '2 7\n', 'get a' => '-1', 'results a' => 'PGRES_COMMAND_OK COPY 1  none' ] },
);
for my $name (sort keys %active) {
	subtest "never reclaimed: $name" => sub {
		my $line = log_size();
		my $result = follows({ PQLEASH_LIMIT => 1, PQLEASH_POOL_TIMEOUT => 60, TIMEOUT => 30 },
			'suite_begin over' => '', 'open a ' => 'OK IDLE', 'suite_end' => '', $active{$name}{begin} => undef, 'status a' => 'OK ACTIVE',
			'open refused ' => qr/^BAD UNKNOWN pqleash: all 1 backends are held and none may be taken: \(1\) suite over, .*, has a statement or COPY in progress; raise PQLEASH_LIMIT\\n$/,
			@{ $active{$name}{end} }, 'status a' => 'OK IDLE', 'open next ' => 'OK IDLE', q(exec next SELECT 'works') => $works, q(exec a SELECT 'works') => $works);
		ends_with($result, $line, 1, 0);
	};
}

done_testing();
