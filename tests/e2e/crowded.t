# The promise: where the server has fewer connections left than the limit allows, the program shares those it got,
# and a refusal reaches it only when it has none at all; then it is the server's own, as libpq gives it.
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

# [ what is special, held by whom, how many, what the program asks for, the server's words ]
my @none = (
	[ 'no connection left', 'user=postgres', 5, 'user=postgres', 'sorry, too many clients already' ],
	[ 'only reserved ones left', 'user=plain', 2, 'user=plain', 'remaining connection slots are reserved' ],
	[ 'a role that has none left', 'user=narrow', 1, 'user=narrow', 'too many connections for role "narrow"' ],
	[ 'a database that has none left', 'user=plain dbname=single', 1, 'user=plain dbname=single', 'too many connections for database "single"' ],
);
for my $case (@none) {
	my ($special, $holder, $held, $conninfo, $words) = @$case;

	subtest $special => sub {
		with_held($held, $holder, sub {
			my @script = ("open a $conninfo", 'error a', 'exec a SELECT 1', 'reset a', "start b $conninfo", 'error b', 'reset_start b', "ping $conninfo");
			my $direct = play_direct(@script);
			my $leashed = play_leashed({}, @script);
			like($direct->{answers}[0], qr/^BAD UNKNOWN .*FATAL:  \Q$words\E/, 'libpq says so');
			is(first_difference($direct, $leashed), '', '... and with the object it says the same');
			like($leashed->{counts}, qr/^opened 0, open 0, backends 0/, '... which counts no connection');
		});
	};
}

subtest 'a refused program connects when there is room again' => sub {
	my $program = Dialogue->leashed({});
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
