# The promise: it works in front of PgBouncer, in session mode as in front of a server, in transaction mode when it
# is told so, and says so when it was not told; and when PgBouncer has fewer places than the limit allows.
use strict;
use warnings;

use File::Temp;
use FindBin;
use lib "$FindBin::Bin/lib";
use Dialogue;
use PqleashTest;
use Steps;
use Test::More;

in_cluster('--max-connections', 60, '--config', 'log_statement=all');

my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin';
plan skip_all => 'no pgbouncer' if !$pgbouncer;
psql_value('CREATE DATABASE other');

# A folder that PgBouncer's user may write to, and short enough for a socket.
my $folder = File::Temp->newdir('pqleash.XXXXXX', DIR => '/tmp');
my @as_server = $> ? () : ('setpriv', '--reuid=postgres', '--clear-groups', '--regid=' . getgrnam('postgres'));
chown +(getpwnam 'postgres')[ 2, 3 ], "$folder" if !$>;

my $running;

# Starts one with these settings; returns how a program reaches it. It listens on a socket only, of a number that
# nobody else can have in this folder.
sub pooler
{
	my (%settings) = @_;
	stop();
	my $log = "$folder/log";
	unlink $log;
	my %all = (
		unix_socket_dir => $folder, listen_port => 6432, listen_addr => '', auth_type => 'any', logfile => $log,
		unix_socket_mode => '0777', ignore_startup_parameters => 'extra_float_digits', admin_users => 'admin', %settings,
	);
	open my $file, '>', "$folder/ini" or die $!;
	print {$file} "[databases]\n", (map { "$_ = host=$ENV{PGHOST} port=$ENV{PGPORT} dbname=$_ user=postgres\n" } qw(postgres other)),
	  "[pgbouncer]\n", map { "$_ = $all{$_}\n" } sort keys %all;
	close $file;

	$running = fork // die "fork: $!";
	if (!$running) {
		delete @ENV{ 'LD_PRELOAD', grep { /^PQLEASH/ } keys %ENV };
		open STDIN, '<', '/dev/null';
		open STDOUT, '>', '/dev/null';
		open STDERR, '>&', \*STDOUT;
		exec @as_server, $pgbouncer, "$folder/ini" or POSIX::_exit(127);
	}
	my $up = wait_until(sub { -S "$folder/.s.PGSQL.6432" && play_direct("open a host=$folder port=6432")->{answers}[0] eq 'OK IDLE' },
		30, 'pgbouncer to answer');
	die 'pgbouncer does not start: ' . log_of_pooler() if !$up;
	return "host=$folder port=6432";
}

sub stop
{
	return if !$running;
	kill INT => $running;
	waitpid $running, 0;
	$running = undef;
	unlink "$folder/.s.PGSQL.6432";
	return;
}

END { stop() }

sub log_of_pooler
{
	open my $file, '<', "$folder/log" or return '';
	local $/ = undef;
	return <$file>;
}

# The most clients that PgBouncer had at once since its log had so many bytes.
sub peak_of_pooler
{
	my ($since) = @_;
	my ($now, $peak, %open) = (0, 0);
	for (split /\n/, substr(log_of_pooler(), $since)) {
		if (/ (C-0x\w+): \S+ login attempt:/) {
			$open{$1} = 1;
		} elsif (/ (C-0x\w+): \S+ closing because:/) {
			delete $open{$1};
		}
		$now = keys %open;
		$peak = $now if $now > $peak;
	}
	return $peak;
}

# The statements that the server was sent since its log had so many lines, without those that PgBouncer adds.
sub statements_since
{
	my ($line) = @_;
	open my $log, '<', $ENV{CLUSTER_LOG} or die $!;
	my @lines = <$log>;
	return map { /LOG:  (?:statement|execute \S+): (.*)/ ? $1 : () } @lines[ $line .. $#lines ];
}

# What pqleash said to a program, but for the line of numbers at its end.
sub said { return join '', grep { !/ connections opened, / } split /^/, $_[0]{err} }

# What ten sessions do, each with a state of its own, in turns.
sub ten
{
	my ($conninfo) = @_;
	return ((map { ("open s$_ $conninfo", "exec s$_ SET work_mem = '10${_}kB'", "prepare s$_ p SELECT 'prepared in $_'") } 1 .. 10),
		map { my $turn = $_; map { ("exec s$_ SELECT current_setting('work_mem'), $turn", "execute s$_ p ") } 1 .. 10 } 1 .. 3);
}

# The same without a state.
sub ten_plain
{
	my ($conninfo) = @_;
	return ((map { "open s$_ $conninfo" } 1 .. 10), map { my $turn = $_; map { ("exec s$_ BEGIN", "exec s$_ SELECT $_, $turn", "exec s$_ COMMIT",
			"params s$_ $turn SELECT \$1::int + $_") } 1 .. 10 } 1 .. 3);
}

sub same_with
{
	my ($promise, $env, @commands) = @_;
	my $direct = play_direct(@commands);
	my $since = length log_of_pooler();
	my $leashed = play_leashed($env, @commands);
	is(first_difference($direct, $leashed), '', $promise);
	is(errors_in($leashed), 0, '... nothing fails');
	like($leashed->{counts}, qr/^opened 10, open 10, /, '... the object was there');
	return $leashed;
}

subtest 'session mode' => sub {
	my $conninfo = pooler(pool_mode => 'session', max_client_conn => 50, default_pool_size => 40);
	for my $limit (1 .. 3) {
		my @script = ten($conninfo);
		my $direct = play_direct(@script);
		my $since = length log_of_pooler();
		my $leashed = play_leashed({ PQLEASH_LIMIT => $limit }, @script);
		is(first_difference($direct, $leashed), '', "limit $limit: each session keeps its state");
		is(said($leashed), '', '... nothing is said');
		like($leashed->{counts}, qr/^opened 10, open 10, backends $limit, peak $limit$/, '... through the object');
		is(peak_of_pooler($since), $limit, '... inside the limit');
	}
	my @two = map { my $n = $_; map { ("open $_$n $conninfo dbname=$_", "exec $_$n SELECT current_database()", "finish $_$n") } qw(postgres other) } 1 .. 3;
	is(first_difference(play_direct(@two), play_leashed({ PQLEASH_LIMIT => 1 }, @two)), '', 'two databases take turns');
};

subtest 'session mode, with few places' => sub {
	for my $places (1, 2) {
		my $conninfo = pooler(pool_mode => 'session', max_client_conn => $places, default_pool_size => 40);
		wait_until(sub { play_direct("open a $conninfo")->{answers}[0] eq 'OK IDLE' }, 30, 'a place');
		my $leashed = play_leashed({}, ten($conninfo));
		is(errors_in($leashed), 0, "max_client_conn=$places: nothing fails") or diag($leashed->{out});
		like($leashed->{counts}, qr/^opened 10, open 10, backends $places, /, '... the object shares what it got');
		is($leashed->{answers}[-3], "PGRES_TUPLES_OK SELECT 1 \n  1010kB|3", '... and each session keeps its state');
	}
};

# PgBouncer connects us at once, and makes us wait at the first statement.
subtest 'session mode, with few connections to the server' => sub {
	my @cases = ([ 'it lets us wait for longer than we do', 120, 0.5 ], [ 'it refuses earlier than we give up', 1, 30 ]);
	for my $case (@cases) {
		my ($special, $pooler_waits, $we_wait) = @$case;
		for my $places (1, 2) {
			my $conninfo = pooler(pool_mode => 'session', max_client_conn => 50, default_pool_size => $places, query_wait_timeout => $pooler_waits);
			for my $how (qw(open start)) {
				my $leashed = play_leashed({ PQLEASH_POOL_TIMEOUT => $we_wait, TIMEOUT => 60 }, map { s/^open/$how/r } ten($conninfo));
				is(errors_in($leashed), 0, "$special, default_pool_size=$places, $how: nothing fails") or diag($leashed->{out});
				like($leashed->{counts}, qr/^opened 10, open 10, backends $places, /, '... the object shares what it got');
				is($leashed->{answers}[-3], "PGRES_TUPLES_OK SELECT 1 \n  1010kB|3", '... and each session keeps its state');
				is(said($leashed), '', '... nothing is said');
			}
		}
	}
};

subtest 'session mode, a program of 22 suites that leaks' => sub {
	for my $places ([ default_pool_size => 2 ], [ max_client_conn => 2 ]) {
		my $conninfo = pooler(pool_mode => 'session', max_client_conn => 50, default_pool_size => 40, @$places);
		wait_until(sub { play_direct("open a $conninfo")->{answers}[0] eq 'OK IDLE' }, 30, 'a place');
		my $result = leashed({ PGHOST => "$folder", PGPORT => 6432, PQLEASH_POOL_TIMEOUT => 1 }, build_dir() . '/tests/subjects/legacy');
		is($result->{status}, 0, "@$places: it passes") or diag(substr $result->{out}, -2000);
		like($result->{out}, qr/^legacy: 1178 of 1178 checks passed in 22 suites$/m, '... every check');
	}
};

subtest 'session mode, with no connection to the server' => sub {
	my $conninfo = pooler(pool_mode => 'session', max_client_conn => 50, default_pool_size => 1, query_wait_timeout => 1);
	my $holder = Dialogue->direct({});
	is($holder->ask("open h $conninfo"), 'OK IDLE', 'somebody else');
	is($holder->ask('exec h SELECT 1'), "PGRES_TUPLES_OK SELECT 1 \n  1", '... uses the only one');
	my $leashed = play_leashed({ PQLEASH_POOL_TIMEOUT => 0.5 }, "open a $conninfo");
	like($leashed->{answers}[0], qr/^BAD UNKNOWN .*query_wait_timeout/, 'the program hears so from PgBouncer');
	like($leashed->{err}, qr/^pqleash: \S+: PgBouncer has no connection left \(FATAL:  query_wait_timeout\).*raise its default_pool_size/, '... and what to set')
	  or diag($leashed->{err});

	my $since = length log_of_pooler();
	my $program = Dialogue->leashed({ PQLEASH_POOL_TIMEOUT => 30 });
	$program->tell("open b $conninfo");
	ok(wait_until(sub { substr(log_of_pooler(), $since) =~ /pooler error: query_wait_timeout/ }, 30, 'a refusal'),
		'another program is refused');
	$holder->end;
	is($program->hear, 'OK IDLE', '... and connects when there is room');
	is($program->ask('exec b SELECT 1'), "PGRES_TUPLES_OK SELECT 1 \n  1", '... and works');
	$program->end;
};

subtest 'session mode, with no place' => sub {
	my $conninfo = pooler(pool_mode => 'session', max_client_conn => 1, default_pool_size => 40);
	my $holder = Dialogue->direct({});
	ok(wait_until(sub { $holder->ask("open h $conninfo") eq 'OK IDLE' }, 30, 'a place'), 'somebody else holds the only one');
	my @script = ("open a $conninfo", 'error a', "start b $conninfo", 'reset a');
	my $direct = play_direct(@script);
	my $leashed = play_leashed({ PQLEASH_POOL_TIMEOUT => 0.3 }, @script);
	like($leashed->{err}, qr/^pqleash: \S+: PgBouncer has no connection left \(FATAL:  no more connections allowed.*raise its max_client_conn/,
		'a line says what to set');
	like($direct->{answers}[0], qr/no more connections allowed \(max_client_conn\)/, 'PgBouncer says so');
	is(first_difference($direct, $leashed), '', '... and with the object it says the same');
	like($leashed->{counts}, qr/^opened 0, /, '... which counts no connection');
	$holder->end;
};

my $transaction;
subtest 'transaction mode' => sub {
	my $conninfo = pooler(pool_mode => 'transaction', max_client_conn => 50, default_pool_size => 2);
	my @script = ten_plain($conninfo);
	my $line = log_size();
	play_direct(@script);
	my @directly = statements_since($line);
	is(scalar @directly, 120, 'the server logs what it is asked');
	for my $way ([ { PQLEASH_PGBOUNCER => 1 }, @script ],
		[ {}, ten_plain('postgresql:///postgres?pgbouncer=true&host=' . "$folder" . '&port=6432') ],
		[ { PQLEASH_DATABASE_URL => 'postgresql:///postgres?pgbouncer=true&host=' . "$folder" . '&port=6432' }, ten_plain('') ])
	{
		my ($env, @commands) = @$way;
		my $since = length log_of_pooler();
		my $line = log_size();
		my $leashed = play_leashed($env, @commands);
		is(errors_in($leashed), 0, join(' ', %$env) . ' ' . $commands[0] . ': nothing fails') or diag($leashed->{out});
		is($leashed->{answers}[-2], "PGRES_TUPLES_OK SELECT 1 \n  13", '... and every session gets its answers');
		like($leashed->{counts}, qr/^opened 10, open 10, backends 3, peak 3$/, '... through the object');
		is(peak_of_pooler($since), 3, '... inside the limit');
		is_deeply([ statements_since($line) ], \@directly, '... and the server is asked nothing but what the program asks');
	}
};

# What is said of a pooler that nobody announced.
sub announcements { return scalar grep { /one server process serves several connections.*PQLEASH_PGBOUNCER=1/ } split /\n/, $_[0]{err} }

subtest 'transaction mode, not announced' => sub {
	my $conninfo = pooler(pool_mode => 'transaction', max_client_conn => 50, default_pool_size => 2);
	for my $how (qw(open start)) {
		my $leashed = play_leashed({}, map { s/^open/$how/r } ten_plain($conninfo));
		is(announcements($leashed), 1, "$how: one line tells of it") or diag($leashed->{err});
	}
	my $two = play_leashed({}, ten_plain($conninfo), ten_plain("$conninfo dbname=other"));
	is(announcements($two), 2, '... for each target');
	is(announcements(play_leashed({ PQLEASH_PGBOUNCER => 1 }, ten_plain($conninfo))), 0, '... and none when it was announced');

	# Its only connection is served by one process at first, then by another.
	my $file = "$folder/err";
	my $program = Dialogue->leashed({ PQLEASH_LIMIT => 1 }, $file);
	is($program->ask("open a $conninfo"), 'OK IDLE', 'a connection is served by one process');
	my $holder = Dialogue->direct({});
	$holder->ask("open h $conninfo");
	like($holder->ask('exec h BEGIN'), qr/COMMAND_OK/, '... which then serves another program');
	is($program->ask('exec a SELECT 1'), "PGRES_TUPLES_OK SELECT 1 \n  1", 'it works');
	is($program->ask("open b $conninfo"), 'OK IDLE', 'another session connects');
	is($program->ask('exec b SELECT 1'), "PGRES_TUPLES_OK SELECT 1 \n  1", 'and works');
	$_->end for $program, $holder;
	open my $said, '<', $file or die $!;
	is(announcements({ err => join '', <$said> }), 1, 'one line tells of it');
};

subtest 'no transaction mode' => sub {
	my $server = "host=$ENV{PGHOST} port=$ENV{PGPORT}";
	my $conninfo = pooler(pool_mode => 'session', max_client_conn => 50, default_pool_size => 3);
	for my $place ($server, $conninfo) {
		for my $limit (1, 3) {
			my @again = map { ("finish s$_", "open s$_ $place", "exec s$_ SELECT $_", "reset s$_") } 1 .. 10;
			for my $how (qw(open start)) {
				my $leashed = play_leashed({ PQLEASH_LIMIT => $limit }, map { s/^open/$how/r } ten($place), @again);
				is(said($leashed), '', "$place, limit $limit, $how: nothing is said");
			}
		}
	}
};

# PgBouncer refuses the startup option that would be the simplest way.
subtest 'a statement timeout of ours' => sub {
	my $conninfo = pooler(pool_mode => 'session', max_client_conn => 50, default_pool_size => 40);
	for my $limit (1, 3) {
		my @script = ((map { ("open s$_ $conninfo", $_ % 2 ? "exec s$_ SET statement_timeout = '1${_}s'" : "exec s$_ RESET ALL") } 1 .. 5),
			(map { "exec s$_ SELECT current_setting('statement_timeout')" } 1 .. 5, 1 .. 5),
			map { ("finish s$_", "open s$_ $conninfo", "exec s$_ SELECT current_setting('statement_timeout')") } 1 .. 5);
		my $leashed = play_leashed({ PQLEASH_STATEMENT_TIMEOUT => 77, PQLEASH_LIMIT => $limit }, @script);
		my @seen = map { /\n  (\S+)$/ ? $1 : () } @{ $leashed->{answers} };
		is_deeply(\@seen, [ (qw(11s 77s 13s 77s 15s)) x 2, ('77s') x 5 ], "session mode, limit $limit: every session has it, or its own") or diag($leashed->{out});
		is(said($leashed), '', '... nothing is said');
	}

	$conninfo = pooler(pool_mode => 'transaction', max_client_conn => 50, default_pool_size => 2);
	my $line = log_size();
	my $leashed = play_leashed({ PQLEASH_STATEMENT_TIMEOUT => 77, PQLEASH_PGBOUNCER => 1 }, ten_plain($conninfo), ten_plain("$conninfo dbname=other"));
	is(errors_in($leashed), 0, 'transaction mode: nothing fails');
	like(said($leashed), qr/\A[^\n]*PQLEASH_STATEMENT_TIMEOUT has no effect behind a pooler in transaction mode[^\n]*\n\z/, '... one line says that there is none');
	is(scalar(grep { /statement_timeout/ } statements_since($line)), 0, '... and none is set');
};

subtest 'transaction mode, finished sessions' => sub {
	my $conninfo = pooler(pool_mode => 'transaction', max_client_conn => 50, default_pool_size => 2);
	my $line = log_size();
	my $leashed = play_leashed({ PQLEASH_PGBOUNCER => 1 }, map { ("open a$_ $conninfo", "exec a$_ BEGIN", "exec a$_ SELECT $_", $_ % 2 ? "exec a$_ COMMIT" : (),
			"finish a$_") } 1 .. 6);
	is(errors_in($leashed), 0, 'nothing fails');
	like($leashed->{counts}, qr/^opened 6, open 0, backends 1, peak 1$/, 'one connection serves them');
	my @others = grep { !/^(?:BEGIN|SELECT \d|COMMIT)$/ } statements_since($line);
	is_deeply([@others], [ ('ROLLBACK') x 3 ], 'and only what a session left open is ended');
};

subtest 'transaction mode, with few places' => sub {
	my $conninfo = pooler(pool_mode => 'transaction', max_client_conn => 2, default_pool_size => 2);
	wait_until(sub { play_direct("open a $conninfo")->{answers}[0] eq 'OK IDLE' }, 30, 'a place');
	my $leashed = play_leashed({ PQLEASH_PGBOUNCER => 1 }, ten_plain($conninfo));
	is(errors_in($leashed), 0, 'nothing fails') or diag($leashed->{out});
	like($leashed->{counts}, qr/^opened 10, open 10, backends 2, /, 'the object shares what it got');
};

done_testing();
