# The promise: where the server has fewer connections left than the limit allows, the program shares those it got.
# While it has none at all, it is asked again until the pool timeout; only then a refusal reaches the program, the
# server's own, as libpq gives it, and a line on stderr says what to set.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Dialogue;
use PqleashTest;
use Steps;
use Test::More;

# Five connections, three of them for superusers alone.
in_cluster('--max-connections', 5);

my $port = $ENV{PGPORT};
psql_value('CREATE ROLE plain LOGIN');
psql_value('CREATE ROLE narrow LOGIN CONNECTION LIMIT 1');
psql_value('CREATE DATABASE narrow CONNECTION LIMIT 2');
psql_value('CREATE DATABASE single CONNECTION LIMIT 1');
psql_value('CREATE DATABASE other');

# Runs the function while so many connections are held by somebody else.
sub with_held
{
	my ($count, $conninfo, $function) = @_;
	wait_until(sub { server_connections() == 0 }, 30, 'the server to be empty');
	my $holder = Dialogue->direct({});
	for my $n (1 .. $count) {
		is($holder->ask("open h$n $conninfo"), 'OK IDLE', "somebody else holds connection $n");
	}
	$function->();
	$holder->end;
	return;
}

# Ten sessions, each with a state of its own, three times in turns.
sub ten
{
	my ($conninfo) = @_;
	return ((map { ("open s$_ $conninfo", "exec s$_ SET application_name = 'of $_'") } 1 .. 10),
		map { my $turn = $_; map { "exec s$_ SELECT current_setting('application_name'), $turn" } 1 .. 10 } 1 .. 3);
}

my $expected = join ' ', map { my $turn = $_; map { "of $_|$turn" } 1 .. 10 } 1 .. 3;

sub states { return join ' ', map { /\n  (of .*)/ ? $1 : () } @{ $_[0]{answers} } }

# [ what is special, held by whom, how many, what the program asks for, connections left ]
my @few = (
	[ 'one connection left', 'user=postgres', 4, 'user=postgres', 1 ],
	[ 'two connections left', 'user=postgres', 3, 'user=postgres', 2 ],
	[ 'the rest is reserved', 'user=plain', 1, 'user=plain', 1 ],
	[ 'nothing held, but three reserved', 'user=plain', 0, 'user=plain', 2 ],
	[ 'a role with a limit', 'user=plain', 0, 'user=narrow', 1 ],
	[ 'a database with a limit', 'user=postgres', 0, 'user=plain dbname=narrow', 2 ],
	[ 'a database with a limit, one held', 'user=plain dbname=narrow', 1, 'user=plain dbname=narrow', 1 ],
	[ 'enough', 'user=postgres', 2, 'user=postgres', 3 ],
);
for my $case (@few) {
	my ($special, $holder, $held, $conninfo, $left) = @$case;

	subtest $special => sub {
		with_held($held, $holder, sub {
			my $line = log_size();
			my $result = play_leashed({}, ten($conninfo));
			is(states($result), $expected, 'ten sessions run in them, each with its state') or diag($result->{out});
			like($result->{counts}, qr/^opened 10, open 10, backends $left, peak/, '... through the object');
			cmp_ok(opened_since($line), '<=', $left + 1, '... and asks the server for one too many at most once');
		});
	};
	subtest "$special: PQconnectStart" => sub {
		with_held($held, $holder, sub {
			my $result = play_leashed({}, map { s/^open/start/r } ten($conninfo));
			is(states($result), $expected, 'ten sessions run in them, each with its state') or diag($result->{out});
			like($result->{counts}, qr/^opened 10, open 10, backends $left, peak/, '... through the object');
		});
	};
}

# What each suite of the program of 22 that leaks has passed.
sub suites { return join "\n", grep { /^\w+:? +\d+/ } split /\n/, $_[0]{out} }

subtest 'a program of 22 suites that leaks' => sub {
	my $legacy = build_dir() . '/tests/subjects/legacy';
	with_held(3, 'user=postgres', sub {
		my $line = log_size();
		my $result = leashed({}, $legacy);
		is($result->{status}, 0, 'two connections left: it passes') or diag(substr $result->{out}, -2000);
		like(suites($result), qr/^legacy: 1178 of 1178 checks passed in 22 suites$/m, '... every check');
		cmp_ok(peak_since($line), '<=', 2, '... in those two');
	});
	# Some of its suites need two: both in a transaction, or one with a temporary table.
	my $alone = leashed({ PQLEASH_LIMIT => 1 }, $legacy);
	with_held(4, 'user=postgres', sub {
		my $line = log_size();
		is(suites(leashed({}, $legacy)), suites($alone), 'one connection left: all that one connection is enough for');
		cmp_ok(peak_since($line), '<=', 1, '... in that one');
	});
};

# How often the server has said so since its log had so many lines.
sub refusals_since
{
	my ($line, $words) = @_;
	open my $log, '<', $ENV{CLUSTER_LOG} or die $!;
	my @lines = <$log>;
	return scalar grep { /FATAL:  \Q$words\E/ } @lines[ $line .. $#lines ];
}

# Plays until the server has refused in these words only: one that it refused before, and whose process has not
# ended yet, may be one too many for another reason.
sub refused_by
{
	my ($words, $play) = @_;
	my $result;
	wait_until(sub { $result = $play->(); !grep { /FATAL/ && !/\Q$words\E/ } @{ $result->{answers} } }, 30, 'no other refusal');
	return $result;
}

# [ what is special, held by whom, how many, what the program asks for, the server's words, what to raise ]
my @none = (
	[ 'no connection left', 'user=postgres', 5, 'user=postgres', 'sorry, too many clients already', 'its max_connections' ],
	[ 'only reserved ones left', 'user=plain', 2, 'user=plain', 'remaining connection slots are reserved', 'its max_connections' ],
	[ 'a role that has none left', 'user=narrow', 1, 'user=narrow', 'too many connections for role "narrow"', q{the role's CONNECTION LIMIT} ],
	[ 'a database that has none left', 'user=plain dbname=single', 1, 'user=plain dbname=single', 'too many connections for database "single"',
		q{the database's CONNECTION LIMIT} ],
);
for my $case (@none) {
	my ($special, $holder, $held, $conninfo, $words, $remedy) = @$case;

	subtest $special => sub {
		with_held($held, $holder, sub {
			my @script = ("open a $conninfo", 'error a', 'exec a SELECT 1', 'reset a', "start b $conninfo", 'error b', 'reset_start b', "ping $conninfo");
			my $direct = refused_by($words, sub { play_direct(@script) });
			my $leashed = refused_by($words, sub { play_leashed({ PQLEASH_POOL_TIMEOUT => 0.3 }, @script) });
			like($direct->{answers}[0], qr/^BAD UNKNOWN .*FATAL:  \Q$words\E/, 'libpq says so');
			is(first_difference($direct, $leashed), '', '... and with the object it says the same');
			like($leashed->{counts}, qr/^opened 0, open 0, backends 0/, '... which counts no connection');
			my @lines = grep { /has no connection left/ } split /\n/, $leashed->{err};
			is(scalar @lines, 4, '... and tells of each connect in one line') or diag($leashed->{err});
			like($lines[0], qr/^pqleash: \S+: the server has no connection left \(FATAL:  \Q$words\E.*waited 0\.3 s.*raise \Q$remedy\E/,
				'... who refused it, and what to set');
		});
	};

	for my $how (qw(open start)) {
		subtest "$special, but one comes free: $how" => sub {
			with_held($held - 1, $holder, sub {
				my $last = Dialogue->direct({});
				is($last->ask("open l $holder"), 'OK IDLE', 'the last one is taken');
				my $line = log_size();
				my $program = Dialogue->leashed({ PQLEASH_POOL_TIMEOUT => 30 });
				$program->tell("$how a $conninfo");
				wait_until(sub { refusals_since($line, $words) > 1 }, 30, 'two refusals');
				$last->end;
				is($program->hear, 'OK IDLE', 'the program gets it');
				is($program->ask('exec a SELECT 1'), "PGRES_TUPLES_OK SELECT 1 \n  1", '... and it works');
				$program->end;
			});
		};
	}
}

subtest 'a pool timeout of 0 asks once' => sub {
	with_held(5, 'user=postgres', sub {
		my $line = log_size();
		my $result = play_leashed({ PQLEASH_POOL_TIMEOUT => 0 }, 'open a ', 'start b ');
		like($_, qr/^BAD UNKNOWN .*too many clients/, 'the refusal is passed on') for @{ $result->{answers} }[ 0, 1 ];
		is(refusals_since($line, 'sorry'), 2, '... at once');
	});
};

subtest 'the pauses grow' => sub {
	with_held(5, 'user=postgres', sub {
		my $line = log_size();
		play_leashed({ PQLEASH_POOL_TIMEOUT => 3 }, 'open a ');
		my $count = refusals_since($line, 'sorry');
		cmp_ok($count, '>=', 3, 'the server is asked again');
		cmp_ok($count, '<=', 9, '... after 50, 100, 200, 400 ms, then every 800');
	});
};

# Its only connection goes to another role meanwhile, and the server's only one for its role to somebody else.
sub without_place
{
	my ($env, $function) = @_;
	wait_until(sub { server_connections() == 0 }, 30, 'the server to be empty');
	my $program = Dialogue->leashed({ PQLEASH_LIMIT => 1, %$env });
	is($program->ask('open a user=narrow'), 'OK IDLE', 'a session connects');
	is($program->ask(q{exec a SET my.own = 'a'}), 'PGRES_COMMAND_OK SET', '... sets something');
	is($program->ask('open b user=plain'), 'OK IDLE', '... another one connects');
	is($program->ask('exec b SELECT 1'), "PGRES_TUPLES_OK SELECT 1 \n  1", '... and is used');
	my $holder = Dialogue->direct({});
	is($holder->ask('open h user=narrow'), 'OK IDLE', "somebody else holds the role's only one");
	$function->($program, $holder);
	$_->end for $holder, $program;
	return;
}

subtest 'a session that was moved waits for a place' => sub {
	without_place({ PQLEASH_POOL_TIMEOUT => 30 }, sub {
		my ($program, $holder) = @_;
		my $line = log_size();
		$program->tell(q{exec a SELECT current_setting('my.own')});
		wait_until(sub { refusals_since($line, 'too many connections for role') > 1 }, 30, 'two refusals');
		$holder->end;
		is($program->hear, "PGRES_TUPLES_OK SELECT 1 \n  a", 'it goes on as it was');
	});
};

subtest 'a session that was moved, and does not block' => sub {
	without_place({ PQLEASH_POOL_TIMEOUT => 30 }, sub {
		my ($program, $holder) = @_;
		my $line = log_size();
		is($program->ask(q{send a SELECT current_setting('my.own')}), '1', 'it sends at once');
		is(refusals_since($line, 'too many connections for role'), 1, '... and is refused once');
		$holder->end;
		is($program->ask('results a'), "PGRES_TUPLES_OK SELECT 1 \n  a none", 'it goes on as it was');
	});
};

subtest 'a session that was moved, and there is no place' => sub {
	without_place({ PQLEASH_POOL_TIMEOUT => 0.3 }, sub {
		my ($program, $holder) = @_;
		like($program->ask('exec a SELECT 1'), qr/pqleash: this connection could not be attached again: .*too many connections for role/, 'it is lost');
		$holder->end;
		wait_until(sub { $program->ask('reset a') eq 'OK IDLE' }, 30, 'PQreset to succeed');
		is($program->ask('exec a SELECT 1'), "PGRES_TUPLES_OK SELECT 1 \n  1", '... until PQreset');
	});
};

subtest 'another server that is full is no reason to share less' => sub {
	with_held(0, '', sub {
		my $program = Dialogue->leashed({ PQLEASH_POOL_TIMEOUT => 0.3 });
		my $holder = Dialogue->direct({});
		is($program->ask("open a$_ host=127.0.0.1 port=$port"), 'OK IDLE', 'connected') for 1, 2;
		is($holder->ask("open h$_ user=postgres"), 'OK IDLE', 'held') for 1 .. 3;
		like($program->ask('open b user=postgres'), qr/^BAD.*too many clients/, 'elsewhere there is none');
		is($program->ask("exec a$_ SELECT $_"), "PGRES_TUPLES_OK SELECT 1 \n  $_", 'those it has go on') for 1, 2;
		like($program->ask('counts'), qr/backends 2, /, '... as they were');
		$_->end for $program, $holder;
	});
};

subtest 'other threads are served while one is refused' => sub {
	with_held(1, 'user=narrow', sub {
		my $result = leashed({ PQLEASH_POOL_TIMEOUT => 3 }, build_dir() . '/tests/subjects/refused', 'user=narrow', 'user=postgres');
		like($result->{out}, qr/^too many connections for role/, 'one thread is refused');
		like($result->{out}, qr/^(?:\d{3,}|[2-9]\d) meanwhile$/m, '... and another connects and works all the time') or diag($result->{out});
	});
};

subtest 'a refused program connects when there is room again' => sub {
	my $program = Dialogue->leashed({ PQLEASH_POOL_TIMEOUT => 0 });
	with_held(5, 'user=postgres', sub {
		like($program->ask('open a '), qr/^BAD.*too many clients/, 'there is none');
	});
	wait_until(sub { server_connections() == 0 }, 30, 'the server to be empty');
	is($program->ask('reset a'), 'OK IDLE', 'PQreset finds one');
	is($program->ask('open b '), 'OK IDLE', 'PQconnectdb, too');
	$program->end;
};

subtest 'two targets and one connection left' => sub {
	with_held(4, 'user=postgres', sub {
		my $line = log_size();
		my @turns = map { my $n = $_; map { "exec $_ SELECT current_database(), current_setting('my.own', true), $n" } qw(a b c) } 1 .. 5;
		my $result = play_leashed({}, 'open a ', "exec a SET my.own = 'a'", 'open b dbname=other', "exec b SET my.own = 'b'",
			"open c host=127.0.0.1 port=$port", @turns);
		is(errors_in($result), 0, 'they take turns') or diag($result->{out});
		is($result->{answers}[-3], "PGRES_TUPLES_OK SELECT 1 \n  other|b|5", '... each with its state');
		cmp_ok(peak_since($line), '<=', 1, '... in that one');
	});
};

subtest 'the server fills up later' => sub {
	wait_until(sub { server_connections() == 0 }, 30, 'the server to be empty');
	my $program = Dialogue->leashed({});
	is($program->ask("open a "), 'OK IDLE', 'one connection');
	is($program->ask("exec a SET my.own = 'a'"), 'PGRES_COMMAND_OK SET', '... with a state');
	my $holder = Dialogue->direct({});
	$holder->ask("open h$_ ") for 1 .. 4;
	is($program->ask("open b "), 'OK IDLE', 'another session shares it');
	is($program->ask('exec b SELECT 1'), "PGRES_TUPLES_OK SELECT 1 \n  1", '... and works');
	is($program->ask("exec a SELECT current_setting('my.own')"), "PGRES_TUPLES_OK SELECT 1 \n  a", '... as the first does');
	like($program->ask('counts'), qr/^opened 2, open 2, backends 1, /, 'in one connection');
	$_->end for $holder, $program;
};

subtest 'a session that cannot move, and no connection left' => sub {
	with_held(4, 'user=postgres', sub {
		my $result = play_leashed({ PQLEASH_RECLAIM => 'never' }, 'open a ', 'exec a BEGIN', 'open b ', 'exec b SELECT 1', 'exec a COMMIT');
		like(join("\n", @{ $result->{answers} }[ 2, 3 ]), qr/pqleash: all 1 backends are held.* is in a transaction/, 'the message names it');
		is($result->{answers}[4], 'PGRES_COMMAND_OK COMMIT', '... and it goes on');
	});
};

done_testing();
