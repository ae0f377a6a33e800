# However a program ends, with connections left open or all finished (tests/subjects/exits.c): its exit status is
# its own, the server keeps nothing of it, and stderr says something only if there is something to say.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Test::More;

in_cluster('--tls');

my $exits = build_dir() . '/tests/subjects/exits';
my %status = (
	return => 42, exit => 42, thread => 42, _exit => 42, quick_exit => 42,
	abort => 128 + 6, kill => 128 + 9, exec => 0,
);
my @orderly = qw(return exit thread);
my @abrupt = qw(_exit quick_exit abort kill exec);
my %tls = (PGHOST => 'localhost', PGSSLMODE => 'require');

# Connections of which the server's log does not yet tell the end. No process is started to find out: it is
# the state when the program had just ended.
sub left_in_log
{
	my ($line) = @_;
	my %open;
	open my $log, '<', $ENV{CLUSTER_LOG} or die "$ENV{CLUSTER_LOG}: $!";
	while (<$log>) {
		next if $. <= $line;
		$open{$1} = 1 if /\[(\d+)\].* LOG:  connection authorized: /;
		delete $open{$1} if /\[(\d+)\].* LOG:  disconnection: /;
	}
	return scalar keys %open;
}

# A leashed run of the subject, with what is left of it at the server when it has ended.
sub end_of
{
	my ($env, $habit, $way) = @_;
	my $line = log_size();
	my $result = leashed($env, $exits, $habit, $way);
	$result->{left} = left_in_log($line);
	$result->{peak} = peak_since($line);
	return $result;
}

sub is_as_asked
{
	my ($result, $way) = @_;
	is($result->{out}, "done\n", 'it gets to its end');
	is($result->{peak}, 3, 'with 3 connections for its 6');
	is($result->{status}, $status{$way}, 'the exit status is what the program asked for');
	return;
}

for my $encryption ([ 'in plain text', {} ], [ 'over TLS', \%tls ]) {
	my ($name, $env) = @$encryption;

	for my $way (@orderly) {
		subtest "leaking $name, then $way" => sub {
			my $result = end_of($env, 'leak', $way);
			is_as_asked($result, $way);
			is($result->{left}, 0, 'no connection is left at that very moment');
			is($result->{err}, 'pqleash: 6 connections opened, 6 never finished, 0 used after finish, '
				. "0 finished twice, 0 lost; at most 3 at the server at once\n", 'one line tells of the leak');
		};
	}
	for my $way (@abrupt) {
		subtest "leaking $name, then $way" => sub {
			my $result = end_of($env, 'leak', $way);
			is_as_asked($result, $way);
			ok(wait_until(sub { server_connections() == 0 }, 10, "no connection after $way"),
				'no connection is left soon after');
		};
	}
	for my $way (@orderly, @abrupt) {
		subtest "finishing all $name, then $way" => sub {
			my $result = end_of($env, 'finish', $way);
			is_as_asked($result, $way);
			is($result->{err}, '', 'there is nothing to say');
			ok(wait_until(sub { server_connections() == 0 }, 10, "no connection after $way"), 'no connection is left');
		};
	}
}

# The server ends a statement when it likes, with us and without; the program need not wait.
for my $way (@orderly) {
	subtest "a statement still runs at the server, then $way" => sub {
		my $result = end_of({ PQLEASH_CONNECT_TIMEOUT => 60 }, 'busy', $way);
		is_as_asked($result, $way);
		is(psql_value(q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'}),
			1, 'the program has not waited for it');
		psql_value(q{SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'});
		is(server_connections(), 0, 'no other connection is left');
	};
}

done_testing();
