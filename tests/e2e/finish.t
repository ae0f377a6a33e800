# A finished session leaves nothing to the next one that gets its backend; one that is used after it was finished,
# or finished twice, harms nobody; and the numbers of pqleash.h and the line at exit are right all the time.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Steps;
use Test::More;

in_cluster();
psql_value($_) for 'CREATE TABLE kept (a int)', 'CREATE SEQUENCE numbers', 'CREATE ROLE weak LOGIN';

# All there is to see of a connection.
my @look = map { s/\s+/ /gr } (
	'status b', 'info b', 'is_nonblocking b', 'verbosity b 1', 'context b 1', 'notices b on', 'escape b it\\s"\\\\',
	q(exec b DO $$ BEGIN RAISE NOTICE 'heard'; END $$), 'notifies b',
	q(exec b SELECT session_user, current_user, current_setting('role'), current_setting('app.v', true), to_regclass('pg_temp.t'),
		current_schemas(false), current_setting('transaction_isolation'), current_setting('statement_timeout')),
	q(exec b SELECT name, setting FROM pg_settings WHERE source = 'session' ORDER BY name),
	q(exec b SELECT (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_cursors),
		(SELECT count(*) FROM pg_listening_channels()), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), (SELECT count(*) FROM kept)),
	'execute b  ', 'execute b p ', 'exec b SELECT lastval()', q(exec b SELECT currval('numbers')), 'exec b FETCH c',
	(map { "parameter b $_" } qw(application_name client_encoding DateStyle TimeZone is_superuser session_authorization standard_conforming_strings)),
);

# Played with a connection for each, and with one for both. connections: how many the server sees in all.
sub leaves_nothing
{
	my ($name, $connections, @script) = @_;

	subtest "$name leaves nothing behind" => sub {
		my @commands = ('open a ', @script, 'finish a', 'open b ', @look);
		my $direct = play_direct(@commands);
		my $line = log_size();
		my $leashed = play_leashed({ PQLEASH_LIMIT => 1 }, @commands);
		is($direct->{counts}, 'none', 'the direct run is direct');
		is($leashed->{counts}, 'opened 2, open 1, backends 1, peak 1', 'the other one is inside pqleash');
		is(opened_since($line), $connections, 'the server sees as many connections as it should');
		is(peak_since($line), 1, 'and never two at once');
		is(first_difference($direct, $leashed), '', 'the next session sees what a new connection would');
		like($leashed->{err}, qr/^pqleash: 2 connections opened, 1 never finished, 0 used after finish, 0 finished twice, 0 lost; at most 1 at the server at once$/m,
			'the line at exit is right');
	};
	return;
}

leaves_nothing('a session that did nothing', 1);
leaves_nothing('a temporary table', 1, 'exec a CREATE TEMP TABLE t AS SELECT 1');
leaves_nothing('settings', 1, map { "exec a SET $_" } q(search_path = nowhere), q(work_mem = '9MB'), q(application_name = 'a'), q(TimeZone = 'Asia/Tokyo'),
	q(DateStyle = 'German'), 'standard_conforming_strings = off', q(client_encoding = 'LATIN1'), 'default_transaction_isolation = serializable');
leaves_nothing('a statement timeout of one millisecond', 1, 'exec a SET statement_timeout = 1');
leaves_nothing('read-only, deferrable transactions', 1, 'exec a SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE');
leaves_nothing('a custom setting, which the server cannot forget,', 2, q(exec a SET app.v = 'secret'));
leaves_nothing('a custom setting that a block sets', 2, q(exec a DO $$ BEGIN PERFORM set_config('app.v', 'secret', false); END $$));
leaves_nothing('a custom setting whose name is computed', 2, q(exec a SELECT set_config(n, 'secret', false) FROM (VALUES ('app.v')) AS v(n)));
leaves_nothing('a custom setting of a transaction that is rolled back', 2, 'exec a BEGIN', q(exec a SET LOCAL app.v = 'secret'), 'exec a ROLLBACK');
leaves_nothing('a role', 1, 'exec a SET ROLE weak');
leaves_nothing('a session authorization', 1, 'exec a SET SESSION AUTHORIZATION weak');
leaves_nothing('prepared statements', 1, 'exec a PREPARE p AS SELECT 1', 'prepare a q SELECT 2', 'prepare a  SELECT 3');
leaves_nothing('LISTEN, with a notification on its way', 1, 'exec a LISTEN news', q(exec a NOTIFY news, 'from a'), 'exec a LISTEN b', 'exec a BEGIN; NOTIFY b; COMMIT');
leaves_nothing('session advisory locks', 1, 'exec a SELECT pg_advisory_lock(1), pg_advisory_lock_shared(2)');
leaves_nothing('a transaction', 1, 'exec a BEGIN', 'exec a INSERT INTO kept VALUES (1)', 'exec a DECLARE c CURSOR FOR SELECT 1');
leaves_nothing('a failed transaction', 1, 'exec a BEGIN', 'exec a INSERT INTO kept VALUES (1)', 'exec a SELECT 1/0');
leaves_nothing('a cursor WITH HOLD', 1, 'exec a DECLARE c CURSOR WITH HOLD FOR SELECT 1');
leaves_nothing('a sequence', 1, q(exec a SELECT nextval('numbers') > 0));
leaves_nothing('what libpq keeps', 1, 'verbosity a 2', 'context a 2', 'notices a on', 'nonblocking a 1', 'exec a SELECT 1/0');
leaves_nothing('its pid in the hands of the program', 2, 'pid a');
leaves_nothing('random numbers from a seed', 2, 'exec a SELECT setseed(0.5)');
leaves_nothing('a query whose result was not fetched', 2, q(send a INSERT INTO kept SELECT 1 FROM pg_sleep(0.2) WHERE false));
leaves_nothing('a COPY FROM STDIN', 2, 'exec a COPY kept FROM STDIN', 'put a 1\\n');
leaves_nothing('a COPY TO STDOUT', 2, 'exec a COPY (SELECT generate_series(1, 100000)) TO STDOUT', 'get a');

# ---- Misuse ----

my $alive = "PGRES_TUPLES_OK SELECT 1 \n  alive";

sub said
{
	my ($result, $line) = @_;
	is($result->{err}, $line ? "pqleash: $line\n" : '', 'the line at exit is right');
	return;
}

subtest 'a session that is used after it was finished goes on as a new one' => sub {
	my $result = follows({ PQLEASH_LIMIT => 1 }, 'open a ' => 'OK IDLE', q(exec a SET app.v = 'secret') => undef, 'exec a CREATE TEMP TABLE t ()' => undef,
		'verbosity a 2' => 'was 1', 'finish a' => '', 'counts' => 'opened 1, open 0, backends 1, peak 1',
		q(exec a SELECT current_setting('app.v', true), to_regclass('pg_temp.t')) => "PGRES_TUPLES_OK SELECT 1 \n  <NULL>|<NULL>",
		'counts' => 'opened 1, open 1, backends 1, peak 1', 'status a' => 'OK IDLE', 'verbosity a 1' => 'was 1', 'info a' => qr/^ db=postgres user=postgres /,
		q(exec a SELECT 'alive') => $alive, 'finish a' => '', 'counts' => 'opened 1, open 0, backends 1, peak 1', 'open b ' => 'OK IDLE', q(exec b SELECT 'alive') => $alive);
	said($result, '2 connections opened, 1 never finished, 1 used after finish, 0 finished twice, 0 lost; at most 1 at the server at once');
};

for my $first (
	[ 'status' => 'OK IDLE' ], [ 'error' => '' ], [ 'info' => qr/^ db=postgres user=postgres / ], [ 'parameter' => ' client_encoding=UTF8', 'client_encoding' ],
	[ 'escape' => q('it''s'), q(it's) ], [ 'prepare' => 'PGRES_COMMAND_OK', 'p SELECT 1' ], [ 'send' => '1', 'SELECT 1' ], [ 'socket' => 'the same number, a socket' ],
	[ 'reset' => 'OK IDLE' ], [ 'reset_start' => 'OK IDLE' ], [ 'results' => 'none' ], [ 'notifies' => '' ], [ 'is_nonblocking' => 'is 0' ], [ 'notices' => 'was off', 'on' ],
	[ 'pid' => 'pid' ], [ 'encoding' => '0', 'LATIN1' ])
{
	my ($command, $answer, $rest) = @$first;

	subtest "the first use after finish is $command" => sub {
		my $result = follows({ PQLEASH_LIMIT => 1 }, 'open a ' => 'OK IDLE', 'exec a CREATE TEMP TABLE t ()' => undef, 'finish a' => '',
			$command . ' a' . (defined $rest ? " $rest" : '') => $answer, 'results a' => undef, q(exec a SELECT 'alive') => $alive, 'finish a' => '',
			'counts' => qr/^opened 1, open 0, backends [01], peak 1$/);
		said($result, '1 connections opened, 0 never finished, 1 used after finish, 0 finished twice, 0 lost; at most 1 at the server at once');
	};
}

subtest 'a second finish is ignored' => sub {
	my $result = follows({ PQLEASH_LIMIT => 1 }, 'open a ' => 'OK IDLE', 'finish a' => '', 'open b ' => 'OK IDLE', 'exec b BEGIN' => 'PGRES_COMMAND_OK BEGIN',
		'finish a' => '', 'finish a' => '', 'status b' => 'OK INTRANS', q(exec b SELECT 'alive') => $alive, 'counts' => 'opened 2, open 1, backends 1, peak 1', 'finish b' => '',
		'counts' => 'opened 2, open 0, backends 1, peak 1');
	said($result, '2 connections opened, 0 never finished, 0 used after finish, 2 finished twice, 0 lost; at most 1 at the server at once');
};

subtest 'PQfinish(NULL) does nothing' => sub {
	my $result = follows({}, 'finish nobody' => '', 'open a ' => 'OK IDLE', 'finish nobody' => '', q(exec a SELECT 'alive') => $alive, 'finish a' => '',
		'counts' => 'opened 1, open 0, backends 1, peak 1');
	said($result, '');
};

subtest 'a connect that failed can be finished, used after that, and finished again' => sub {
	my $result = follows({}, 'open a dbname=nowhere' => qr/^BAD UNKNOWN .*database "nowhere" does not exist/, 'counts' => 'opened 0, open 0, backends 0, peak 1',
		'finish a' => '', 'counts' => 'opened 0, open 0, backends 0, peak 1', 'status a' => 'BAD UNKNOWN', 'exec a SELECT 1' => qr/^no result/, 'finish a' => '', 'finish a' => '',
		'open b ' => 'OK IDLE', 'counts' => 'opened 1, open 1, backends 1, peak 1', 'finish b' => '');
	said($result, '1 connections opened, 0 never finished, 1 used after finish, 1 finished twice, 0 lost; at most 1 at the server at once');
};

subtest 'a statement still runs when its session is finished' => sub {
	my $line = log_size();
	my $result = follows({ PQLEASH_LIMIT => 1, TIMEOUT => 60 }, 'open a ' => 'OK IDLE', 'send a SELECT pg_sleep(2)' => '1', 'finish a' => '', 'open b ' => 'OK IDLE',
		q(exec b SELECT 'alive') => $alive, 'finish b' => '');
	is(peak_since($line), 1, 'the server has never seen two connections at once');
	said($result, '');
};

# ---- Numbers ----

subtest 'the numbers are right at every step' => sub {
	my $result = follows({ PQLEASH_LIMIT => 2 }, 'counts' => 'opened 0, open 0, backends 0, peak 0',
		'open a ' => 'OK IDLE', 'counts' => 'opened 1, open 1, backends 1, peak 1', 'open b ' => 'OK IDLE', 'counts' => 'opened 2, open 2, backends 2, peak 2',
		'open c ' => 'OK IDLE', 'counts' => 'opened 3, open 3, backends 2, peak 2', 'exec c SELECT 1' => undef, 'counts' => 'opened 3, open 3, backends 2, peak 2',
		'ping ' => 'OK', 'counts' => 'opened 3, open 3, backends 2, peak 2',
		'finish a' => '', 'counts' => 'opened 3, open 2, backends 2, peak 2', 'finish b' => '', 'counts' => 'opened 3, open 1, backends 2, peak 2',
		'close_idle' => 'closed 1', 'counts' => 'opened 3, open 1, backends 1, peak 2', 'close_idle' => 'closed 0', 'reset c' => 'OK IDLE', 'counts' => 'opened 3, open 1, backends 1, peak 2',
		'finish c' => '', 'counts' => 'opened 3, open 0, backends 1, peak 2', 'close_idle' => 'closed 1', 'counts' => 'opened 3, open 0, backends 0, peak 2',
		'start d ' => 'OK IDLE', 'counts' => 'opened 4, open 1, backends 1, peak 2', 'login e |||postgres||' => 'OK IDLE', 'counts' => 'opened 5, open 2, backends 2, peak 2',
		"open_params f 1 dbname=postgres" => 'OK IDLE', 'counts' => 'opened 6, open 3, backends 2, peak 2', (map { ("finish $_" => '') } qw(d e f)), 'counts' => 'opened 6, open 0, backends 2, peak 2');
	said($result, '');
};

# ---- More finished sessions than are kept ----

my $many = 3000;

subtest "$many sessions one after the other" => sub {
	my $line = log_size();
	my $result = follows({}, (map { ("open s$_ " => 'OK IDLE', "exec s$_ SELECT 'alive'" => $_ % 100 ? undef : $alive, "finish s$_" => undef) } 1 .. $many),
		'counts' => "opened $many, open 0, backends 1, peak 1");
	is(opened_since($line), 1, 'share one connection');
	said($result, '');
};

subtest "$many sessions at once, finished and then used" => sub {
	my $line = log_size();
	my @some = map { 500 * $_ } 1 .. $many / 500;
	my $result = follows({}, (map { ("open s$_ " => $_ % 100 ? undef : 'OK IDLE') } 1 .. $many), 'counts' => "opened $many, open $many, backends 3, peak 3",
		(map { ("exec s$_ SELECT 'alive'" => $alive) } @some), (map { ("finish s$_" => undef) } 1 .. $many), 'counts' => "opened $many, open 0, backends 3, peak 3",
		# Those finished last are still known.
		(map { ("exec s$_ SELECT 'alive'" => $alive, "finish s$_" => '') } $many - 1000, $many),
		# Those finished long ago are not.
		(map { ("status s$_" => 'BAD UNKNOWN', "exec s$_ SELECT 1" => qr/^no result/, "error s$_" => undef, "info s$_" => undef, "socket s$_" => 'the same number, no socket',
			"reset s$_" => undef, "finish s$_" => '') } 1, 500, $many - 1100),
		(map { ("open t$_ " => 'OK IDLE', "exec t$_ SELECT 'alive'" => $alive) } 1 .. 10), (map { ("finish t$_" => '') } 1 .. 10));
	is(peak_since($line), 3, 'inside the limit');
};

done_testing();
