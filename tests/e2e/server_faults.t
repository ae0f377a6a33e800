# The promise: a server process that is killed, a server that restarts, crashes, or is away for a while. What the program
# had no connection to is replaced unseen; where it had one, it sees what libpq shows, and PQreset helps.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Dialogue;
use PqleashTest;
use Steps;
use Test::More;

in_cluster('--max-connections', 20);
psql_value('CREATE TABLE filled (a text)');
psql_value('CHECKPOINT');    # or a crash would undo that

# ---- What happens to the server ----

my $others = q{FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()};

sub nobody_connected
{
	return wait_until(sub { server_connections() == 0 }, 20, 'every connection to end') || die;
}

sub kill_all
{
	psql_value("SELECT count(pg_terminate_backend(pid)) $others");
	return nobody_connected();
}

sub pg_ctl
{
	my (@arguments) = @_;
	chomp(my $bindir = qx(pg_config --bindir));
	my @as_server = $> ? () : ('setpriv', '--reuid=postgres', '--clear-groups', '--regid=' . getgrnam('postgres'));
	# The log is not the server's to open, only to write to.
	my $result = run({ LC_ALL => 'C', TZ => 'UTC' }, 'sh', '-c', 'cd / && exec "$@" >>"$CLUSTER_LOG" 2>&1', 'sh',
		@as_server, "$bindir/pg_ctl", '-D', $ENV{CLUSTER_DATA}, '-s', '-w', @arguments);
	die "pg_ctl @arguments: $result->{status}" if $result->{status};
	return;
}

sub stop { return pg_ctl('stop', '-m', 'fast') }

# On the same port, which pg_ctl would have from the command line of a restart only.
sub start { return pg_ctl('start', '-o', "-p $ENV{PGPORT}") }

# A process that dies of SIGKILL makes the postmaster end all others and start over.
sub crash
{
	my $line = log_size();
	my $victim = Dialogue->direct({});
	$victim->ask('open v application_name=victim');
	kill KILL => psql_value("SELECT pid $others AND application_name = 'victim'") or die "kill: $!";
	return wait_until(sub { lines_since($line) =~ /all server processes terminated; reinitializing/ }, 20, 'the server to start over') || die;
}

sub lines_since
{
	my ($line) = @_;
	open my $log, '<', $ENV{CLUSTER_LOG} or die $!;
	my @lines = <$log>;
	return join '', @lines[ $line .. $#lines ];
}

# What a program answers to commands, with something done to the server in between, when all
# of its processes wait for something.
sub answers
{
	my ($program, $before, $fault, $after) = @_;
	my @answers = map { $program->ask($_) } @$before;
	wait_until(sub { psql_value("SELECT count(*) $others AND wait_event IS NULL") == 0 }, 20, 'the server to be at rest') || die;
	$fault->();
	push @answers, map { $program->ask($_) } @$after;
	return \@answers;
}

# ---- What the program is connected to: as libpq shows it ----

# Programs without and with the object, one after the other.
my @ways = (sub { Dialogue->direct({}) }, sub { Dialogue->leashed({ PQLEASH_LIMIT => 1 }) });

my $big = 'SELECT repeat($$x$$, 9000), CASE WHEN n = 3 THEN pg_sleep(60) END FROM generate_series(1, 3) AS n';
my @see = ('status a', 'exec a SELECT 1', 'status a', 'error a', 'exec a SELECT 1', 'status a', 'error a', 'reset a', 'exec a SHOW work_mem');
my %moments = (
	'while it is idle' => [ [ 'exec a SET work_mem = 1024' ], \@see ],
	'in a transaction' => [ [ 'exec a BEGIN', q(exec a INSERT INTO filled VALUES ('never')) ], [ 'exec a COMMIT', @see ] ],
	'in the middle of a statement' => [ [ 'send a SELECT pg_sleep(60)' ], [ 'results a', @see ] ],
	'in the middle of a result, row by row' => [ [ "send a $big", 'single_row a', 'result a' ], [ 'results a', @see ] ],
	'in the middle of COPY TO STDOUT' => [ [ "exec a COPY ($big) TO STDOUT", 'get a' ], [ 'get a', 'get a', 'results a', @see ] ],
	'in the middle of COPY FROM STDIN' => [ [ 'exec a COPY filled FROM STDIN', 'put a never\\n' ], [ 'put a never\\n', 'put_end a', @see ] ],
);
my %faults = ('killed' => \&kill_all, 'crashed' => \&crash, 'restarted' => sub { pg_ctl('restart', '-m', 'fast') });

for my $fault (sort keys %faults) {
	for my $moment (sort keys %moments) {
		my ($before, $after) = @{ $moments{$moment} };
		# A server that starts over after a crash refuses for a moment.
		my $until_ready = sub {
			$faults{$fault}->();
			wait_until(sub { run({}, 'pg_isready', '-q')->{status} == 0 }, 20, 'the server to be ready') || die;
		};
		my ($direct, $leashed) = map { answers($_->(), [ 'open a ', @$before ], $until_ready, $after) } @ways;
		is_deeply($leashed, $direct, "the program sees no difference when it is $fault $moment");
		is($direct->[-1], "PGRES_TUPLES_OK SHOW \n  4MB", '... and PQreset helps');
	}
}
is(psql_value('SELECT count(*) FROM filled'), 0, 'nothing was done in part');

subtest 'a session that the server ends for being idle' => sub {
	my @script = ([ 'open a ', q(exec a SET idle_session_timeout = '50ms') ], \&nobody_connected, \@see);
	my ($direct, $leashed) = map { answers($_->(), @script) } @ways;
	like($direct->[3], qr/^PGRES_FATAL_ERROR /, 'is broken');
	is_deeply($leashed, $direct, 'sees no difference');
};

subtest 'its place is free for others, and it still sees what libpq shows' => sub {
	for my $state ('BEGIN', 'SET work_mem = 1024', 'SELECT 1') {
		my $program = Dialogue->leashed({ PQLEASH_LIMIT => 1, PQLEASH_RECLAIM => 'never' });
		my $answers = answers($program, [ 'open a ', "exec a $state" ], \&kill_all,
			[ 'open b ', 'exec b SELECT 1', 'status a', 'exec a SELECT 1', 'status a', 'reset a', 'exec a SHOW work_mem', 'exec b SELECT 1' ]);
		is(server_connections(), 1, 'the server has one connection');
		$program->end;
		my $direct = answers(Dialogue->direct({}), [ 'open a ', "exec a $state" ], \&kill_all, [ 'status a', 'exec a SELECT 1', 'status a', 'reset a', 'exec a SHOW work_mem' ]);
		is_deeply([ @$answers[ 4 .. 8 ] ], [ @$direct[ 2 .. 6 ] ], "after $state");
		is($answers->[3], "PGRES_TUPLES_OK SELECT 1 \n  1", 'the other one works');
		is($answers->[9], "PGRES_TUPLES_OK SELECT 1 \n  1", '... afterwards too');
	}
};

# ---- What it is not connected to: unseen ----

my $one = "PGRES_TUPLES_OK SELECT 1 \n  1";

for my $fault (sort keys %faults) {
	my $program = Dialogue->leashed({ PQLEASH_LIMIT => 2 });
	$program->ask($_) for 'open a ', 'open b ', 'exec a SET work_mem = 1024', 'exec b SELECT 1', 'finish a', 'finish b';
	$faults{$fault}->();
	wait_until(sub { run({}, 'pg_isready', '-q')->{status} == 0 }, 20, 'the server to be ready') || die;
	is(join('', map { $program->ask($_) } 'open c ', 'exec c SELECT 1', 'open d ', 'exec d SHOW work_mem'), "OK IDLE${one}OK IDLEPGRES_TUPLES_OK SHOW \n  4MB",
		"idle backends that are $fault are replaced unseen");
}

subtest 'idle backends that the server ends for that are replaced unseen' => sub {
	my $program = Dialogue->leashed({ PQLEASH_LIMIT => 2 });
	my $login = 'options=-cidle_session_timeout=50ms';
	$program->ask($_) for "open a $login", 'exec a SELECT 1', 'finish a';
	nobody_connected();
	is($program->ask("open b $login"), 'OK IDLE', 'the next connect');
	is($program->ask('exec b SELECT 1'), $one, '... and what follows');
};

# Two sessions on one backend: a is attached at the end, b is parked and has everything that can be parked.
my @parked = ('open a ', 'open b ', 'exec b SET work_mem = 1024', q(exec b SET app.v = 'of b'), 'exec b PREPARE p AS SELECT 1', 'exec a SELECT 1');
my @state = ('exec b EXECUTE p', q(exec b SELECT current_setting('work_mem'), current_setting('app.v')));
my $kept = "$one, PGRES_TUPLES_OK SELECT 1 \n  1MB|of b";

sub state_of { my ($program) = @_; return join ', ', map { $program->ask($_) } @state }

for my $fault (sort keys %faults) {
	# Without waiting for the server to be ready again.
	my $program = Dialogue->leashed({ PQLEASH_LIMIT => 1 });
	$program->ask($_) for @parked;
	$faults{$fault}->();
	is(state_of($program), $kept, "a session that is parked while the server is $fault has all of its state");
	like($program->ask('exec a SELECT 1'), qr/^PGRES_FATAL_ERROR /, '... and the one that was attached is broken');
}

for my $waiting ([ 'exec b EXECUTE p' => undef ], [ 'send b EXECUTE p' => 'results b' ]) {
	my ($command, $then) = @$waiting;
	my ($name) = split / /, $command;

	subtest "a parked session waits for a server that is away, with $name" => sub {
		my $program = Dialogue->leashed({ PQLEASH_LIMIT => 1, PQLEASH_POOL_TIMEOUT => 20 });
		$program->ask($_) for @parked;
		stop();
		$program->tell($command);
		my $answer = $program->hear if $then;
		$program->tell($then) if $then;
		start();
		like($program->hear, qr/^\Q$one\E/, 'and goes on');
		is(state_of($program), $kept, 'with all of its state');
	};
}

subtest 'a server that stays away' => sub {
	my $program = Dialogue->leashed({ PQLEASH_LIMIT => 1, PQLEASH_POOL_TIMEOUT => 1 });
	$program->ask($_) for @parked;
	stop();
	like($program->ask('exec b EXECUTE p'), qr/^no result: pqleash: this connection could not be attached again: connection to server .* failed: /, 'fails the parked session');
	like($program->ask('status b'), qr/^BAD /, '... for good');
	is($program->ask('open c '), Dialogue->direct({})->ask('open c '), 'a new connection fails as with libpq');
	start();
	like($program->ask('exec b EXECUTE p'), qr/^no result: /, 'what is lost is lost');
	is($program->ask('reset b'), 'OK IDLE', 'PQreset helps');
	is($program->ask('exec b SHOW work_mem'), "PGRES_TUPLES_OK SHOW \n  4MB", '... with a new session');
	is($program->ask('reset c'), 'OK IDLE', '... the failed connect, too');
};

# ---- State that cannot be put back ----

for my $case (
	[ 'a role that is gone', 'exec b SET ROLE passing', 'DROP ROLE passing', qr/role "passing" does not exist/ ],
	[ 'a setting that is not allowed any more', 'exec b SET log_min_messages = error', 'ALTER ROLE strong NOSUPERUSER', qr/permission denied to set parameter "log_min_messages"/ ])
{
	my ($name, $set, $change, $error) = @$case;

	subtest "a session with $name is lost, not half restored" => sub {
		psql_value($_) for 'CREATE ROLE strong SUPERUSER LOGIN', 'CREATE ROLE passing';
		my $program = Dialogue->leashed({ PQLEASH_LIMIT => 1 });
		$program->ask($_) for 'open a user=strong', 'open b user=strong', 'exec b SET work_mem = 1024', $set, 'exec b PREPARE p AS SELECT 1', 'exec a SELECT 1';
		psql_value($change);
		like($program->ask('exec b EXECUTE p'), qr/^no result: pqleash: this connection was moved, and its settings could not be put back: ERROR: .*$error/, 'with a clear error');
		like($program->ask('status b'), qr/^BAD /, 'it is broken');
		like($program->ask('exec b SHOW work_mem'), qr/^no result: pqleash: this connection was moved/, '... and stays so');
		is($program->ask('exec a SELECT 1'), $one, 'the other one is well');
		is($program->ask('exec a SHOW work_mem'), "PGRES_TUPLES_OK SHOW \n  4MB", '... and has nothing of it');
		is($program->ask('reset b'), 'OK IDLE', 'PQreset helps');
		is($program->ask('exec b SELECT current_user, current_setting($$work_mem$$), (SELECT count(*) FROM pg_prepared_statements)'), "PGRES_TUPLES_OK SELECT 1 \n  strong|4MB|0", '... with a new session');
		$program->end;
		nobody_connected();
		psql_value("DROP ROLE IF EXISTS $_") for qw(strong passing);
	};
}

done_testing();
